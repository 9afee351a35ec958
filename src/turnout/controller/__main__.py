"""`python -m turnout.controller`: the loop over all Turnouts."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
import time

from turnout import settings
from turnout.controller.aliases import Aliases
from turnout.controller.observing import Ledger, World
from turnout.controller.reconciling import reconcile
from turnout.errors import Conflict, TurnoutError, Unavailable
from turnout.kube import discovery
from turnout.kube.client import Kube, connect
from turnout.ledger.client import LedgerClient

log = logging.getLogger("turnout.controller")


def observe(kube: Kube, domain: str) -> World:
    """List everything once for all Turnouts."""

    def key(obj: dict[str, dict[str, str]]) -> tuple[str, str]:
        return (obj["metadata"]["namespace"], obj["metadata"]["name"])

    return World(
        turnouts=kube.list("Turnout"),
        versions={key(obj): obj for obj in kube.list("InferenceService")},
        routes={key(obj): obj for obj in kube.list("HTTPRoute")},
        domain=domain,
        now_us=time.time_ns() // 1000,
    )


def reconcile_all(kube: Kube, ledger: Ledger, aliases: Aliases, domain: str) -> None:
    """One round. A Turnout that cannot be reconciled never keeps the others from their turn."""
    world = observe(kube, domain)
    for turnout in world.turnouts:
        name = f"{turnout['metadata']['namespace']}/{turnout['metadata']['name']}"
        try:
            rollout = reconcile(dict(turnout), world, kube=kube, ledger=ledger)
            if rollout is not None:
                aliases.follow(name, rollout)
        except Conflict as error:
            log.info("%s: somebody was faster, next round: %s", name, error)
        except TurnoutError as error:
            log.warning("%s: %s", name, error)
        except Exception:  # the outer loop: one Turnout's bug must not stop the others; it is logged with its trace
            log.exception("%s: reconcile failed", name)


def run(stop: threading.Event, *, interval_s: float) -> None:
    """Reconcile until told to stop; wait out an API server or ledger that is away."""
    kube: Kube | None = None
    while not stop.is_set():
        try:
            if kube is None:
                kube = connect()
                addresses = discovery.discover(kube)
                ledger = LedgerClient(addresses.ledger_url, addresses.ledger_token)
                aliases = Aliases(addresses.mlflow_uri)
            reconcile_all(kube, ledger, aliases, addresses.domain)
        except Unavailable as error:
            log.warning("%s", error)
            stop.wait(error.retry_after_s)
        except TurnoutError as error:
            log.warning("%s", error)
        stop.wait(interval_s)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m turnout.controller", description="The Turnout controller.")
    parser.add_argument("--interval", type=float, default=0.5, help="seconds between two rounds (default: 0.5)")
    arguments = parser.parse_args()
    logging.basicConfig(
        level=settings.read("TURNOUT_LOG_LEVEL"), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("controller starts")
    run(stop, interval_s=arguments.interval)
    log.info("controller stops")


if __name__ == "__main__":
    main()
