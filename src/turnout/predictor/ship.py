"""Ships what a dead Pod left behind: `python -m turnout.predictor.ship --log_dir ... --ledger_url ...`.

One shot: delivers the remaining segments, tells the ledger that this log has ended, and ends. It refuses to touch the
log of a living process. A Pod with several workers or versions has a log in the folder and one in each subfolder.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from turnout.errors import NotFound, TurnoutError, Unavailable
from turnout.predictor.arguments import read_environment
from turnout.predictor.identity import Identity
from turnout.predictor.ledger_connection import LedgerConnection
from turnout.predictor.outbox import Outbox
from turnout.predictor.prediction_log import IDENTITY_FILE, lock, read_identity

__all__ = ["main", "ship"]


def main(argv: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """The exit code: 0 all delivered, 1 not now (another try may work), 2 wrong use."""
    found = _parser(environment).parse_args(argv)
    try:
        ledger = LedgerConnection(found.ledger_url, found.ledger_token_file)
        for folder, identity in _logs(found):
            delivered = ship(folder, identity, ledger, timeout_s=found.timeout_s)
            print(f"turnout.predictor.ship: {identity.pod}: {delivered} records delivered, log ended")
    except TurnoutError as error:
        print(f"turnout.predictor.ship: {type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def ship(folder: Path, identity: Identity, ledger: LedgerConnection, *, timeout_s: float) -> int:
    """Deliver every segment and end the log; returns the number of records.

    Raises:
        Conflict: a living process uses the folder.
        Unavailable: the ledger did not take them in time.
    """
    if not folder.is_dir():
        raise NotFound(f"{folder}: not found: wanted the folder of a prediction log")
    held = lock(folder)
    try:
        outbox = Outbox(folder, identity, ledger)
        _retried(outbox.ship, timeout_s=timeout_s)
        # The log has ended, so every record of it that will ever be is older than now.
        _retried(lambda: outbox.heartbeat(watermark_us=time.time_ns() // 1000, final=True), timeout_s=timeout_s)
        return outbox.acknowledged
    finally:
        os.close(held)


def _retried(action: Callable[[], object], *, timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    wait_s = 0.1
    while True:
        try:
            action()
            return
        except Unavailable:
            if time.monotonic() + wait_s > deadline_s:
                raise
        time.sleep(wait_s)
        wait_s *= 2


def _logs(found: argparse.Namespace) -> Iterator[tuple[Path, Identity]]:
    """Every log in the folder, its own first."""
    others = sorted(path.parent for path in found.log_dir.glob(f"*/{IDENTITY_FILE}"))
    if not others or (found.log_dir / IDENTITY_FILE).exists():
        yield found.log_dir, _identity(found)
    for folder in others:
        yield folder, read_identity(folder)


def _identity(found: argparse.Namespace) -> Identity:
    """What the predictor noted in the folder, overruled by what the command line says."""
    said = {"pod": found.log, "namespace": found.namespace, "endpoint": found.endpoint, "version": found.version}
    if all(said.values()):
        return Identity(**said)
    return replace(read_identity(found.log_dir), **{key: value for key, value in said.items() if value})


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="turnout.predictor.ship", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--log_dir", type=Path, required=True, help="folder of the dead Pod's prediction log")
    add("--ledger_url", default=read_environment("TURNOUT_LEDGER_URL", environment), help="where the ledger answers")
    token_file = read_environment("TURNOUT_LEDGER_TOKEN_FILE", environment)
    add("--ledger_token_file", default=token_file, help="file with the ledger's token")
    add("--log", default="", help="name of the log, if it is not what the folder says")
    add("--namespace", default="", help="namespace, if it is not what the folder says")
    add("--endpoint", default="", help="endpoint, if it is not what the folder says")
    add("--version", default="", help="version, if it is not what the folder says")
    add("--timeout_s", type=float, default=10.0, help="how long to try while the ledger does not answer")
    return parser


if __name__ == "__main__":
    sys.exit(main())
