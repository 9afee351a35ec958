"""Whatever the order in which records, labels and readings meet at the ledger, the frozen units are the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.building import NOON, Clock, batch, record
from turnout.ledger import audit, cursors, evidence, feedback, ingest, records, states
from turnout.ledger.cursors import Position
from turnout.ledger.evidence import Question
from turnout.ledger.feedback import Post
from turnout.ledger.store import Store
from turnout.ledger.words import Verb, Word

VERSIONS = ("digits-v1", "digits-v2")
WINDOW = 10
END = 200
_namespaces = (f"n{number}" for number in count())


@dataclass(frozen=True)
class Made:
    """A prediction: when it was made, and the labels that arrive some time after."""

    version: str
    time: int
    labels: tuple[tuple[int, int], ...]  # delay, label


@dataclass(frozen=True)
class Round:
    """Some logs are shipped, up to a watermark somewhat before, perhaps with a repetition; then somebody reads."""

    time: int
    lags: dict[str, int]  # by version; a version may be left out
    again: bool
    limit: int | None


MADE = st.builds(
    Made,
    version=st.sampled_from(VERSIONS),
    time=st.integers(0, 60),
    labels=st.lists(st.tuples(st.integers(0, 15), st.sampled_from((7, 8))), max_size=3).map(tuple),
)
ROUND = st.builds(
    Round,
    time=st.integers(1, 90),
    lags=st.dictionaries(st.sampled_from(VERSIONS), st.integers(0, 3), max_size=2),
    again=st.booleans(),
    limit=st.none() | st.integers(1, 5),
)


class World:
    """Plays one schedule against the ledger, in a namespace of its own."""

    def __init__(self, store: Store, clock: Clock, made: list[Made]) -> None:
        self.store, self.clock, self.namespace = store, clock, next(_namespaces)
        self.made = {f"{self.namespace}-{index:03}": one for index, one in enumerate(made)}
        self.sent = dict.fromkeys(VERSIONS, -1)
        self.cursor: Position = Position(0, "")
        self.units: list[dict[str, Any]] = []
        entry = audit.Entry("weights", "controller", {"rev": "r1", "weights": {"digits-v1": 50, "digits-v2": 50}})
        change = states.Change(if_generation=0, state={}, entries=(entry,))
        store.write(
            lambda connection: states.put(connection, change, namespace=self.namespace, turnout="digits", now_us=NOON)
        ).result()

    def ship(self, version: str, *, watermark: int, again: bool = False) -> None:
        """Send what was made since the last watermark; `again`: and all before, as after a lost answer."""
        since = -1 if again else self.sent[version]
        body = batch(
            (
                record(name=name, version=version, time_us=NOON + one.time) | {"namespace": self.namespace}
                for name, one in self.made.items()
                if one.version == version and since < one.time <= watermark
            ),
            log=version,
            version=version,
            namespace=self.namespace,
            watermark_us=NOON + watermark,
        )
        parsed = records.parse_batch(body)
        assert not parsed.rejected
        self.store.write(lambda connection: ingest.take(connection, parsed, now_us=NOON)).result()
        self.sent[version] = max(watermark, self.sent[version])

    def play(self, one: Round) -> None:
        for version, lag in one.lags.items():
            self.ship(version, watermark=one.time - lag, again=one.again)
        if one.limit is not None:
            self.read_on(one.limit)

    def label(self, name: str, label: int) -> None:
        post = Post(prediction_id=name, verb=Verb.PUT, word=Word(label=label), now_us=self.clock())
        self.store.write_together(feedback.record, post).result()

    def read(self, limit: int, after: Position | None = None) -> tuple[list[dict[str, Any]], Position, bool]:
        """One page of evidence."""
        question = Question(
            namespace=self.namespace,
            turnout="digits",
            champion="digits-v1",
            challenger="digits-v2",
            kind="predictions",
            window_us=WINDOW,
            after=after or self.cursor,
            limit=limit,
        )
        now_us = self.clock()
        horizon = self.store.write(lambda connection: evidence.close(connection, question, now_us=now_us)).result()
        page = self.store.read(lambda connection: evidence.page(connection, question, horizon)).result()
        assert page["dropped"] == {}
        return page["units"], cursors.decode("predictions", page["cursor"]), page["more"]

    def read_on(self, limit: int) -> bool:
        units, self.cursor, more = self.read(limit)
        self.units += units
        return more

    def expected(self) -> Iterator[tuple[str, float | None]]:
        """What the words of the law say, written down the plain way."""
        for name, one in sorted(self.made.items(), key=lambda item: (item[1].time, item[0])):
            in_time = [label for delay, label in sorted(one.labels, key=lambda said: said[0]) if delay <= WINDOW]
            yield name, float(in_time[-1] == 7) if in_time else None


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Clock]]:
    clock = Clock()
    folder: Path = tmp_path_factory.mktemp("evidence")
    store = Store(f"sqlite:///{folder / 'ledger.db'}", clock_us=clock)
    yield store, clock
    store.close()


@settings(max_examples=100, deadline=None)
@given(made=st.lists(MADE, min_size=1, max_size=12), rounds=st.lists(ROUND, max_size=10))
def test_any_interleaving_gives_the_same_frozen_units_each_exactly_once(
    stage: tuple[Store, Clock], made: list[Made], rounds: list[Round]
) -> None:
    store, clock = stage
    world = World(store, clock, made)
    for time, _, action in sorted(schedule(world, rounds), key=lambda entry: entry[:2]):
        clock.now_us = NOON + time
        action()
    clock.now_us = NOON + END
    for version in VERSIONS:
        world.ship(version, watermark=END)
    while world.read_on(3):
        pass

    assert [(unit["id"], unit["y"]) for unit in world.units] == list(world.expected())
    assert world.read(1000, after=Position(0, ""))[0] == world.units


def schedule(world: World, rounds: list[Round]) -> Iterator[tuple[int, int, Any]]:
    """All that happens, as (time, order within it, action)."""
    order = count()
    for name, one in world.made.items():
        for delay, label in one.labels:
            yield one.time + delay, next(order), lambda name=name, label=label: world.label(name, label)
    for one in rounds:
        yield one.time, next(order), lambda one=one: world.play(one)
