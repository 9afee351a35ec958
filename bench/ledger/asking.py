"""Questions to a large ledger, as people and the controller ask them, over HTTP."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from bench.ledger.feeding import BATCH, VERSIONS, Feeder, feed
from bench.ledger.servers import TOKEN, Ledger
from turnout.ledger import partitions
from turnout.ledger.client import LedgerClient

__all__ = ["announce", "drop_month_ms", "increments_ms", "p99", "questions_ms"]

_PAIR: dict[str, Any] = {"champion": VERSIONS[0], "challenger": VERSIONS[1], "window_us": 0}


def announce(ledger: Ledger) -> None:
    """The weights that the predictions were assigned by."""
    data = {"rev": "k3x9aa7b", "weights": dict.fromkeys(VERSIONS, 50)}
    entry = {"action": "weights", "actor": "controller", "data": data}
    LedgerClient(ledger.url, TOKEN).put_state("digits", if_generation=0, state={}, audit=[entry])


def questions_ms(ledger: Ledger, *, since_us: int, until_us: int, count: int) -> list[float]:
    """How long each of `count` questions took: by id, and pages by endpoint, version, time, with labels and without."""
    gc.freeze()  # the benchmark's own modules must not be looked through while it measures
    client, chance = LedgerClient(ledger.url, TOKEN), random.Random(7)
    some = [
        found["id"]
        for _ in range(20)
        for found in client.predictions(until_us=chance.randrange(since_us, until_us), limit=50)["predictions"]
    ]
    kinds: tuple[Callable[[], object], ...] = (
        lambda: client.prediction(chance.choice(some)),
        lambda: client.predictions(endpoint="digits"),
        lambda: client.predictions(version=chance.choice(VERSIONS), until_us=chance.randrange(since_us, until_us)),
        lambda: client.predictions(labelled=True, until_us=chance.randrange(since_us, until_us)),
        lambda: client.predictions(labelled=False, until_us=chance.randrange(since_us, until_us)),
        lambda: client.lineage(chance.choice(some)),
        lambda: client.summary("digits"),
    )
    return [_timed(chance.choice(kinds)) for _ in range(count)]


def increments_ms(ledger: Ledger, *, feeders: list[Feeder], count: int) -> list[float]:
    """How long the controller waits for what is new since its last look: a batch of each version."""
    client = LedgerClient(ledger.url, TOKEN)
    cursor = client.evidence("digits", **_PAIR, since_us=feeders[0].time_us, limit=1)["cursor"]
    found = []
    for _ in range(count):
        feed(ledger.url, feeders, events=len(feeders) * BATCH)
        for version, feeder in zip(VERSIONS, feeders, strict=True):
            client.events(log=f"{version}-log", endpoint="digits", version=version, watermark_us=feeder.time_us)
        began = time.perf_counter()
        page = client.evidence("digits", **_PAIR, cursor=cursor)
        found.append((time.perf_counter() - began) * 1000)
        if len(page["units"]) != len(feeders) * BATCH:
            raise SystemExit(f"bench.ledger: an increment had {len(page['units'])} units, {page['dropped']}")
        cursor = page["cursor"]
    return found


def drop_month_ms(ledger: Ledger, first_us: int) -> float:
    """How long retention takes to drop the first month."""
    client = LedgerClient(ledger.url, TOKEN)
    before_us = partitions.first_us(partitions.month_of(first_us), later=1)
    return _timed(lambda: client.retain(before_us=before_us))


def _timed(question: Callable[[], object]) -> float:
    began = time.perf_counter()
    question()
    return (time.perf_counter() - began) * 1000


def p99(values: list[float]) -> float:
    """Of a hundred values the second largest."""
    return statistics.quantiles(values, n=100)[98]
