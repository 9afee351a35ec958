"""How a version leaves the test, and the words that every verdict is told in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from turnout.controller.records import Decision, Evidence, Rules
from turnout.controller.rollout import Rollout
from turnout.controller.weighing import shares, weighed

__all__ = ["end", "shown", "verdict"]

Ending = Literal["rollback", "expire", "withdraw", "replace"]


def end(
    rules: Rules,
    versions: Sequence[str],
    *,
    action: Ending,
    why: str,
    judged: str = "",
    evidence: Evidence | None = None,
    actor: str = "controller",
    reason: str = "",
) -> Decision:
    """These leave; the champion, and others under test, share what they had.

    `judged` is what becomes of them: empty for those that may come back.
    """
    rollout, now_us = rules.rollout, rules.observed.now_us
    after = rollout.without(versions)
    if judged:
        after = replace(
            after,
            judged={**rollout.judged, **dict.fromkeys(versions, judged)},
            retired=(*rollout.retired, *((version, now_us) for version in versions)),
        )
    weights = shares(after.challenges, rules.observed.policy)
    after = weighed(
        after, {str(rollout.champion): 100 - sum(weights.values()), **weights}, rev=rules.new_rev, now_us=now_us
    )
    by_person = actor != "controller"
    guarantee: Literal["inside", "outside", ""] = "outside" if by_person else "inside" if evidence else ""
    told = evidence or rules.evidence.get(versions[0])
    if told is not None and judged:
        after = replace(after, verdict=verdict(action, rollout, versions[0], told, now_us, guarantee))
    summary = told.summary() if told else None
    return Decision(action, versions[0], after, why, summary, actor=actor, guarantee=guarantee, reason=reason)


def verdict(
    word: str, rollout: Rollout, version: str, evidence: Evidence, now_us: int, guarantee: str = "inside"
) -> dict[str, Any]:
    """What stays readable in the status."""
    champion = next((a for a, b in rollout.pairs if b == version), rollout.champion)
    head = {"verdict": word, "version": version, "champion": champion, "guarantee": guarantee, "timeUs": now_us}
    return {**head, **evidence.summary()}


def shown(rollout: Rollout, version: str, evidence: Evidence, what: str) -> str:
    """The evidence in one sentence."""
    champion = next((a for a, b in rollout.pairs if b == version), rollout.champion)
    numbers = evidence.summary()
    low, high = numbers["interval"]
    effect = (
        "no labels" if numbers["effect"] is None else f"effect {numbers['effect']:+.3f} in [{low:+.2f}, {high:+.2f}]"
    )
    labels, errors, requests = numbers["labelled"], numbers["errors"], numbers["requests"]
    return (
        f"{version} {what} than {champion}: {effect}, labels {labels['challenger']} against {labels['champion']}, "
        f"errors {errors['challenger']} of {requests['challenger']} against {errors['champion']} of "
        f"{requests['champion']}, alpha {numbers['alpha']:g}"
    )
