"""Who gets which percent of the requests."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from turnout.controller.rollout import Challenge, Rollout
from turnout.kube.turnouts import Policy

__all__ = ["renewed", "seated", "shares", "weighed"]

_PAST = 20  # revisions that a route may still have when its controller died, or the API server was away for a while


def shares(challenges: Sequence[Challenge], policy: Policy) -> dict[str, int]:
    """Percent of each challenger.

    Several together are scaled down where they would leave the champion less than the largest of them: it is the
    control of every comparison.

    >>> policy = Policy(steps=(5, 50))
    >>> shares([Challenge("v2", step=1)], policy), shares([Challenge("v2", step=1), Challenge("v3", step=1)], policy)
    ({'v2': 50}, {'v2': 33, 'v3': 33})
    """
    wanted = {c.version: policy.steps[min(c.step, len(policy.steps) - 1)] for c in challenges}
    needed = sum(wanted.values()) + max(wanted.values(), default=0)
    if len(wanted) < 2 or needed <= 100:
        return wanted
    return {version: max(1, 100 * share // needed) for version, share in wanted.items()}


def weighed(rollout: Rollout, weights: Mapping[str, int], *, rev: Callable[[], str], now_us: int) -> Rollout:
    """The rollout with these weights under a new revision; as it is, when they are what it has."""
    order = (*rollout.order, *(version for version in weights if version not in rollout.order))
    ordered = {version: weights[version] for version in order if weights.get(version, 0) > 0}
    if ordered == rollout.weights:
        return rollout
    return renewed(replace(rollout, weights=ordered), rev=rev(), now_us=now_us)


def renewed(rollout: Rollout, *, rev: str, now_us: int) -> Rollout:
    """The rollout under a new revision."""
    return replace(rollout, rev=rev, rev_us=now_us, past=(*rollout.past, rollout.rev)[-_PAST:])


def seated(rollout: Rollout, newcomer: str) -> Rollout:
    """The rollout with a seat for a newcomer.

    A gateway's hash has no salt: with the same order in every rollout the same users would always be the first to meet
    what is new. So the newcomer sits before or behind the champion. Which of the two depends on the pair alone: what is
    known of a user's place stays true when the pair meets again.
    """
    seats = [version for version in rollout.order if version in rollout.served]
    if rollout.challenges:
        return replace(rollout, order=(*seats, newcomer))
    behind = zlib.crc32(f"{rollout.champion}|{newcomer}".encode()) % 2 == 1
    return replace(rollout, order=(*seats, newcomer) if behind else (newcomer, *seats))
