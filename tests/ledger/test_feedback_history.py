"""The history of a prediction's feedback, against a model: append-only, the last word current, whoever comes first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.ledger.building import NOON, Clock, batch, record
from turnout.errors import Conflict, NotFound, TurnoutError
from turnout.ledger import erasures, feedback, ingest, predictions, records
from turnout.ledger.feedback import Answer, Post
from turnout.ledger.store import Store
from turnout.ledger.words import Verb, Word

_names = (f"p{number}" for number in count())
LABELS = st.sampled_from((7, 8, "7", "cat"))
WORDS = st.builds(Word, label=LABELS, by=st.sampled_from((None, "ann")))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path_factory.mktemp('feedback') / 'ledger.db'}", clock_us=Clock())
    yield opened
    opened.close()


def say(store: Store, name: str, verb: Verb, word: Word) -> Answer | TurnoutError:
    post = Post(prediction_id=name, verb=verb, word=word, now_us=NOON)
    return store.write(lambda connection: feedback.record(connection, [post])).result()[0]


def ship(store: Store, name: str) -> None:
    parsed = records.parse_batch(batch([record(name=name, predicted=7)], log=name, watermark_us=0))
    store.write(lambda connection: ingest.take(connection, parsed, now_us=NOON)).result()


class History(RuleBasedStateMachine):
    """Posts, puts, patches, the arrival of the record and its erasure, in any order."""

    store: Store

    def __init__(self) -> None:
        super().__init__()
        self.name = next(_names)
        self.said: list[Word] = []
        self.is_here = self.is_erased = False

    @rule(verb=st.sampled_from(Verb), word=WORDS)
    def somebody_speaks(self, verb: Verb, word: Word) -> None:
        answer = say(self.store, self.name, verb, word)
        current = self.said[-1] if self.said else None
        if self.is_erased:
            assert isinstance(answer, feedback.Gone)
        elif current is None and verb is Verb.PATCH:
            assert isinstance(answer, NotFound)
        elif verb is Verb.POST and current is not None and spelling(current.label) != spelling(word.label):
            assert isinstance(answer, Conflict)
        else:
            assert isinstance(answer, Answer)
            assert answer.is_pending is not self.is_here
            if answer.status != "unchanged":
                self.said.append(answer.word)

    @precondition(lambda self: not self.is_erased)
    @rule()
    def the_record_arrives(self) -> None:
        ship(self.store, self.name)
        self.is_here = True

    @precondition(lambda self: self.is_here and not self.is_erased)
    @rule()
    def it_is_erased(self) -> None:
        self.store.write(lambda connection: erasures.erase(connection, self.name, now_us=NOON)).result()
        self.is_erased = True

    @invariant()
    def the_ledger_tells_the_same(self) -> None:
        told = self.store.read(lambda connection: feedback.history(connection, self.name)).result()
        if self.is_erased:
            assert all(word["label"] is None and word["by"] is None for word in told)
            return
        assert [(word["label"], word["by"]) for word in told] == [(word.label, word.by) for word in self.said]
        if self.is_here:
            found = self.store.read(lambda connection: predictions.find(connection, self.name)).result()
            outcomes = [float(word.label in (7, "7")) for word in self.said]
            assert [word["outcome"] for word in told] == outcomes
            assert found["outcome"] == (outcomes[-1] if outcomes else None)


def spelling(label: Any) -> tuple[type, Any]:
    return type(label), label


def test_the_history_is_what_was_said(store: Store) -> None:
    machine = type("BoundHistory", (History,), {"store": store})
    run_state_machine_as_test(machine, settings=settings(max_examples=40, stateful_step_count=12, deadline=None))


@settings(max_examples=40, deadline=None)
@given(posts=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(Verb), WORDS), max_size=12))
def test_posts_decided_together_end_like_posts_decided_one_by_one(
    store: Store, posts: list[tuple[int, Verb, Word]]
) -> None:
    ours, theirs = ([next(_names) for _ in range(3)] for _ in range(2))
    ship(store, ours[0])
    ship(store, theirs[0])
    together = [Post(prediction_id=ours[index], verb=verb, word=word, now_us=NOON) for index, verb, word in posts]
    answers = store.write(lambda connection: feedback.record(connection, together)).result()
    singly = [say(store, theirs[index], verb, word) for index, verb, word in posts]

    assert list(map(told, answers)) == list(map(told, singly))


def told(answer: Answer | TurnoutError) -> Any:
    if isinstance(answer, TurnoutError):
        return type(answer), str(answer)
    return answer.status, answer.word, answer.outcome, answer.http_status
