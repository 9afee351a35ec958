"""`python -m cluster COMMAND`: what `make cluster`, `deploy`, `cluster-demo` and `cluster-down` run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cluster.tools import Problem
from turnout.errors import TurnoutError

_COMMANDS = ("up", "down", "upstream", "deploy", "demo", "backup", "restore")


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    parser.add_argument("command", choices=_COMMANDS)
    parser.add_argument("folder", nargs="?", type=Path, help="of a backup")
    parser.add_argument("--overlay", default="", help="folder of manifests/overlays (default: by the context)")
    parser.add_argument("--kfp", action="store_true", help="install Kubeflow Pipelines, too")
    parser.add_argument("--pipelines", choices=("local", "kfp"), default="local", help="where the pipeline's steps run")
    parser.add_argument("--keep", action="store_true", help="leave what the demo made")
    options = parser.parse_args()
    if options.command in ("backup", "restore") and options.folder is None:
        parser.error(f"{options.command}: wanted a folder")
    try:
        return _run(options)
    except (Problem, TurnoutError) as problem:
        print(f"cluster: {problem}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    from cluster import care, demonstrating, deploying, keeping, kind, upstream

    if options.command == "up":
        kind.up(kfp=options.kfp)
    elif options.command == "down":
        kind.down()
    elif options.command == "upstream":
        care.confirm("install cert-manager, Gateway API, Envoy Gateway and KServe")
        upstream.install(kfp=options.kfp)
    elif options.command == "deploy":
        deploying.deploy(options.overlay)
    elif options.command == "backup":
        keeping.backup(options.folder)
    elif options.command == "restore":
        keeping.restore(options.folder)
    else:
        return demonstrating.tell(pipelines=options.pipelines, keep=options.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
