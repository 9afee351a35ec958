"""Who sits where in a managed route: nobody who gets requests changes places, whatever rollouts do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from turnout.kube import httproutes
from turnout.kube.httproutes import ManagedRoute

VERSIONS = ("v1", "v2", "v3", "v4", "v5")
Seats = tuple[tuple[str, int], ...]


def route(seats: Seats) -> Mapping[str, Any]:
    return httproutes.build(ManagedRoute("digits", "default", "u", "digits.localhost", "r", seats))


def seated(now: Seats | None, weights: Mapping[str, int], resting: frozenset[str], *, ordered: bool = False) -> Seats:
    found = None if now is None else route(now)
    return httproutes.seats(weights, found=found, resting=resting, ordered=ordered)


def places(seats: Seats) -> dict[str, int]:
    """Where a request can go."""
    return {version: i for i, (version, weight) in enumerate(seats) if weight}


weighted = st.dictionaries(st.sampled_from(VERSIONS), st.integers(1, 100), min_size=1, max_size=3)
rests = st.frozensets(st.sampled_from(VERSIONS))


@given(st.lists(st.tuples(weighted, rests), min_size=2, max_size=12))
def test_through_any_rollouts_nobody_who_gets_requests_moves_or_loses_the_seat(
    story: list[tuple[dict[str, int], frozenset[str]]],
) -> None:
    now: Seats | None = None
    for weights, resting in story:
        seats = seated(now, weights, resting)
        assert {version: weight for version, weight in seats if weight} == weights
        if now is not None:
            before, after = places(now), places(seats)
            assert all(after[version] == before[version] for version in before.keys() & after.keys())
            # Nobody takes a seat that got requests until now, and no such seat is gone.
            for version, place in before.items():
                assert seats[place][0] == version
        now = seats


@given(weighted, weighted, rests, st.booleans())
def test_a_route_comes_to_rest(
    first: dict[str, int], second: dict[str, int], resting: frozenset[str], ordered: bool
) -> None:
    once = seated(seated(None, first, resting), second, resting, ordered=ordered)
    twice = seated(once, second, resting, ordered=ordered)
    assert seated(twice, second, resting, ordered=ordered) == twice
    assert {name for name, weight in twice if not weight} <= {*second, *resting}
    assert twice[-1][1] > 0


@given(weighted, weighted, rests)
def test_a_hash_deals_users_out_in_the_rollouts_order(
    first: dict[str, int], second: dict[str, int], resting: frozenset[str]
) -> None:
    seats = seated(seated(None, first, resting), second, resting, ordered=True)
    assert [version for version, weight in seats if weight] == list(second)


def test_a_challenger_takes_the_seat_of_one_who_rests() -> None:
    after_promotion = seated((("v1", 5), ("v2", 95)), {"v2": 100}, frozenset({"v1"}))
    assert after_promotion == (("v1", 0), ("v2", 100))
    assert seated(after_promotion, {"v2": 95, "v3": 5}, frozenset({"v1"})) == (("v3", 5), ("v2", 95))


def test_a_version_that_is_to_be_deleted_leaves_its_seat_to_the_champion() -> None:
    assert seated((("v1", 0), ("v2", 100)), {"v2": 100}, frozenset()) == (("v2", 0), ("v2", 100))
    assert seated((("v2", 0), ("v2", 100)), {"v2": 90, "v3": 10}, frozenset()) == (("v3", 10), ("v2", 90))


def test_a_rolled_back_version_at_the_end_gets_no_requests_before_it_goes() -> None:
    first = seated((("v1", 80), ("v2", 20)), {"v1": 100}, frozenset({"v2"}))
    assert first == (("v1", 100), ("v2", 0))
    assert seated(first, {"v1": 100}, frozenset({"v2"})) == (("v1", 100),)
