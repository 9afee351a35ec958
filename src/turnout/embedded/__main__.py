"""`python -m turnout.embedded`: the engine process. `turnout up` starts it and waits until it answers."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from turnout import settings
from turnout.embedded import engine
from turnout.embedded.home import Home, Settings
from turnout.errors import TurnoutError

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run an engine; the exit code. An error on purpose is one line that begins with the name of its class."""
    found = _parser().parse_args(argv)
    logging.basicConfig(
        level=settings.read("TURNOUT_LOG_LEVEL"), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    asked = Settings(
        gateway_port=found.gateway_port,
        api_port=found.api_port,
        domain=found.domain,
        mlflow=found.mlflow,
        without=tuple(part for part in found.without.split(",") if part),
    )
    try:
        engine.run(Home(found.home.absolute()), asked)
    except TurnoutError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m turnout.embedded", description="The embedded engine.")
    parser.add_argument("--home", type=Path, default=settings.home(), help="folder of the engine's state")
    parser.add_argument("--gateway-port", type=int, default=8080, help="port of the gateway; 0 takes a free one")
    parser.add_argument("--api-port", type=int, default=0, help="port of the Kubernetes API; 0 takes a free one")
    parser.add_argument("--domain", default="localhost", help="domain of the endpoints' host names")
    parser.add_argument("--mlflow", action="store_true", help="also run MLflow's server")
    parser.add_argument("--without", default="", help="system processes not to start, e.g. ledger,controller")
    return parser


if __name__ == "__main__":
    sys.exit(main())
