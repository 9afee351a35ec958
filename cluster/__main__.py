"""`python -m cluster COMMAND`: what `make cluster`, `deploy`, `cluster-demo` and `cluster-down` run."""

from __future__ import annotations

import argparse
import sys

from cluster.tools import Problem

_COMMANDS = ("deploy", "demo")


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    parser.add_argument("command", choices=_COMMANDS)
    parser.add_argument("--overlay", default="", help="folder of manifests/overlays (default: by the context)")
    parser.add_argument("--pipelines", choices=("local",), default="local", help="where the pipeline's steps run")
    parser.add_argument("--keep", action="store_true", help="leave what the demo made")
    options = parser.parse_args()
    try:
        if options.command == "deploy":
            from cluster import deploying

            deploying.deploy(options.overlay)
        elif options.command == "demo":
            from cluster import demonstrating

            return demonstrating.tell(pipelines=options.pipelines, keep=options.keep)
    except Problem as problem:
        print(f"cluster: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
