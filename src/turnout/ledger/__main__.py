"""`python -m turnout.ledger`: the ledger's server process."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from turnout import monitoring, settings
from turnout.errors import Failed, InputError, TurnoutError
from turnout.ledger import databases, yielding
from turnout.ledger.api import accounts
from turnout.ledger.api.accounts import Accounts
from turnout.ledger.api.app import application
from turnout.ledger.api.measuring import Holdings, Metrics
from turnout.ledger.api.tokens import Tokens
from turnout.ledger.gateway_log import GatewayLogTailer
from turnout.ledger.keeper import Keeper
from turnout.ledger.store import Store
from turnout.monitoring import MonitoringPort

_MOST_MONTHS = 600


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM; the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=settings.read("TURNOUT_LOG_LEVEL"), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        _serve(options)
    except TurnoutError as error:
        print(f"turnout.ledger: {type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m turnout.ledger", description="Turnout's ledger.")
    parser.add_argument(
        "--database",
        help="sqlite:////absolute/path/ledger.db or postgresql://user@host/database; default TURNOUT_LEDGER_DATABASE."
        " A password belongs there, into PGPASSWORD or into ~/.pgpass, never on the command line",
    )
    parser.add_argument(
        "--tokens",
        type=Path,
        help="file with more tokens, lines of `name roles sha256`; it need not be there yet;"
        " default TURNOUT_LEDGER_TOKENS",
    )
    parser.add_argument(
        "--keep-months",
        type=int,
        help="months to keep besides the present one; 0 keeps all; default TURNOUT_LEDGER_KEEP_MONTHS",
    )
    parser.add_argument(
        "--calls-per-s", type=float, default=5_000.0, help="calls that each token may make in a second; 0: no limit"
    )
    parser.add_argument(
        "--account",
        action="append",
        metavar="NAMESPACE/NAME=ROLES",
        help="roles of a Kubernetes ServiceAccount; once given, every account's token for the audience"
        f" {accounts.AUDIENCE} is taken, with the role events",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one and prints it")
    parser.add_argument("--token-file", type=Path, required=True, help="file with the token that callers must know")
    parser.add_argument(
        "--metrics", metavar="HOST:PORT", help="where to answer /metrics for Prometheus; none unless it is given"
    )
    parser.add_argument("--gateway-log", type=Path, help="access log of the gateway to follow")
    parser.add_argument(
        "--gateway-flush-ms",
        type=int,
        default=10_000,
        help="how long the gateway may keep a log line (Envoy's --file-flush-interval-msec)",
    )
    return parser


def _serve(options: argparse.Namespace) -> None:
    database = _database(options.database)
    months = _months(options.keep_months)
    tokens = Tokens(_token(options.token_file), file=_tokens(options.tokens), calls_per_s=options.calls_per_s)
    roles = accounts.parse_roles(options.account or [])
    known = Accounts(accounts.kubernetes(), roles=roles) if options.account else None
    address = monitoring.read_address(options.metrics) if options.metrics else None
    listener = _listen(options.host, options.port)
    yielding.yield_to_predictors()
    store = Store(database)
    flush_us = options.gateway_flush_ms * 1_000
    helpers: list[GatewayLogTailer | Keeper | MonitoringPort] = []
    registry = monitoring.registry()
    if options.gateway_log:
        helpers.append(GatewayLogTailer(store, options.gateway_log, flush_us=flush_us))
    if months:
        helpers.append(Keeper(store, months=months))
    if address:
        registry.register(Holdings(store))
        helpers.append(MonitoringPort(registry, address))
    config = uvicorn.Config(
        application(store, tokens=tokens, accounts=known, metrics=Metrics(registry)),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    # Before uvicorn listens to signals itself one must not get lost; after a clean stop it raises it once more.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    gc.freeze()  # modules and tables stay for good: looking through them took 40 ms, in the middle of somebody's page
    try:
        for helper in helpers:
            helper.start()
        print(f"turnout.ledger: listening on http://{options.host}:{listener.getsockname()[1]}", flush=True)
        server.run(sockets=[listener])
    finally:
        for helper in helpers:
            helper.stop()
        store.close()


def _database(given: str | None) -> str:
    """The database's URL.

    Raises:
        InputError: there is none, or the command line shows a password to everybody on this machine.
    """
    found = given or settings.read("TURNOUT_LEDGER_DATABASE")
    if not found:
        raise InputError("--database: wanted a URL, here or in TURNOUT_LEDGER_DATABASE")
    if given and databases.address(given).password:
        raise InputError("--database: a password on the command line is seen by all; use TURNOUT_LEDGER_DATABASE")
    return found


def _tokens(given: Path | None) -> Path | None:
    found = given or settings.read("TURNOUT_LEDGER_TOKENS")
    return Path(found) if found else None


def _months(given: int | None) -> int:
    """How many months are kept besides the present one; 0: all.

    Raises:
        InputError: it is no such number.
    """
    text = str(given) if given is not None else settings.read("TURNOUT_LEDGER_KEEP_MONTHS")
    if not text.isdecimal() or int(text) > _MOST_MONTHS:
        raise InputError(f"--keep-months: wanted a number from 0 (all) to {_MOST_MONTHS}, found {text!r}")
    return int(text)


def _token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InputError(f"--token-file {path}: {error.strerror}") from error
    if not token:
        raise InputError(f"--token-file {path}: the file is empty")
    return token


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=1024)
    except OSError as error:
        raise Failed(f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}") from error


if __name__ == "__main__":
    sys.exit(main())
