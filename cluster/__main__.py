"""`python -m cluster COMMAND`: what `make cluster`, `deploy`, `cluster-demo` and `cluster-down` run."""

from __future__ import annotations

import argparse
import sys

from cluster.tools import Problem

_COMMANDS = ("deploy",)


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    parser.add_argument("command", choices=_COMMANDS)
    parser.add_argument("--overlay", default="", help="folder of manifests/overlays (default: by the context)")
    options = parser.parse_args()
    try:
        if options.command == "deploy":
            from cluster import deploying

            deploying.deploy(options.overlay)
    except Problem as problem:
        print(f"cluster: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
