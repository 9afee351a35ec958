"""The decision: a pure function from what was observed to the next thing to do, or nothing.

Order of the rules is order of importance: a rollback is never delayed by anything below it, and "not enough evidence"
is no rule at all: it is what remains, and it means hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from turnout.controller.rollout import Rollout
from turnout.kube.turnouts import Policy

__all__ = ["Action", "Decision", "Evidence", "Observed", "decide"]

Action = Literal[
    "adopt", "start", "step", "verdict", "promote", "rollback", "hold", "expire", "withdraw", "revert", "baked"
]


class Evidence(Protocol):
    """What the rules ask of a comparison."""

    @property
    def is_worse(self) -> bool: ...
    @property
    def is_not_worse(self) -> bool: ...
    @property
    def leans_to_rollback(self) -> bool: ...
    @property
    def alarms(self) -> list[str]: ...
    @property
    def reason(self) -> str: ...
    def summary(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Observed:
    """The world as the rules see it."""

    challengers: tuple[str, ...]
    ready: frozenset[str]
    policy: Policy
    now_us: int


@dataclass(frozen=True)
class Decision:
    """What to do, the state after it, and why in one sentence."""

    action: Action
    version: str
    rollout: Rollout
    sentence: str
    evidence: Mapping[str, Any] | None = None


def decide(
    rollout: Rollout, observed: Observed, evidence: Evidence | None, *, new_rev: Callable[[], str]
) -> Decision | None:
    """The next decision, or None: hold everything as it is.

    Args:
        rollout: the state so far.
        observed: spec, readiness and clock.
        evidence: the comparison of `rollout.pair`; None when there is no pair.
        new_rev: makes a token for changed weights.
    """
    if rollout.champion is None:
        return _adopt(rollout, observed, new_rev)
    if rollout.phase == "Baking":
        return _bake(rollout, observed, evidence, new_rev)
    if rollout.challenger is None:
        return _start(rollout, observed, new_rev)
    if rollout.challenger not in observed.challengers:
        return _end(
            rollout, observed, new_rev, action="withdraw", why="was taken out of spec.challengers", evidence=None
        )
    if evidence is None:
        return None
    return _judge(rollout, observed, evidence, new_rev)


def _adopt(rollout: Rollout, observed: Observed, new_rev: Callable[[], str]) -> Decision | None:
    """The first version of an endpoint has nobody to be compared with."""
    version = next((v for v in observed.challengers if v in observed.ready and v not in rollout.judged), None)
    if version is None:
        return None
    after = replace(
        rollout,
        phase="Stable",
        champion=version,
        rev=new_rev(),
        weights={version: 100},
        judged={**rollout.judged, version: "adopt"},
    )
    return Decision("adopt", version, after, f"{version} is the first version of this endpoint and becomes champion")


def _start(rollout: Rollout, observed: Observed, new_rev: Callable[[], str]) -> Decision | None:
    waiting = [v for v in observed.challengers if v != rollout.champion and v not in rollout.judged]
    version = next((v for v in waiting if v in observed.ready), None)
    if version is None or rollout.champion is None:
        return None
    share = observed.policy.steps[0]
    after = replace(
        rollout,
        phase="Progressing",
        challenger=version,
        step=0,
        step_labels=0,
        earned=False,
        held="",
        rev=new_rev(),
        weights={rollout.champion: 100 - share, version: share},
        started_us=observed.now_us,
        step_started_us=observed.now_us,
        verdict=None,
    )
    return Decision("start", version, after, f"{version} challenges {rollout.champion} with {share} % of the requests")


def _judge(rollout: Rollout, observed: Observed, evidence: Evidence, new_rev: Callable[[], str]) -> Decision | None:
    policy, version = observed.policy, str(rollout.challenger)
    if evidence.is_worse:
        return _failed(rollout, observed, evidence, new_rev)
    if evidence.alarms or rollout.phase == "Held":
        return None
    if evidence.is_not_worse and not rollout.earned:
        after = replace(rollout, earned=True, verdict=_verdict("promote", rollout, evidence, observed))
        return Decision("verdict", version, after, _shown(rollout, evidence, "is not worse"), evidence.summary())
    if not rollout.earned and observed.now_us - rollout.started_us > policy.max_age:
        return _expired(rollout, observed, evidence, new_rev)
    return _advance(rollout, observed, evidence, new_rev)


def _advance(rollout: Rollout, observed: Observed, evidence: Evidence, new_rev: Callable[[], str]) -> Decision | None:
    policy, version, champion = observed.policy, str(rollout.challenger), str(rollout.champion)
    if observed.now_us - rollout.step_started_us < policy.step_time or version not in observed.ready:
        return None
    if not rollout.earned and (rollout.step_labels < policy.min_labels or evidence.leans_to_rollback):
        return None
    if rollout.step + 1 < len(policy.steps):
        share = policy.steps[rollout.step + 1]
        after = replace(
            rollout,
            step=rollout.step + 1,
            step_labels=0,
            rev=new_rev(),
            weights={champion: 100 - share, version: share},
            step_started_us=observed.now_us,
        )
        sentence = f"{version} goes to {share} % after {rollout.step_labels} labels of its own in this step"
        return Decision("step", version, after, sentence, evidence.summary())
    return _promote(rollout, observed, evidence, new_rev) if rollout.earned else None


def _promote(rollout: Rollout, observed: Observed, evidence: Evidence, new_rev: Callable[[], str]) -> Decision:
    version, champion, holdback = str(rollout.challenger), str(rollout.champion), observed.policy.holdback
    after = replace(
        rollout,
        phase="Baking",
        champion=version,
        challenger=None,
        previous=champion,
        rev=new_rev(),
        weights={version: 100 - holdback, champion: holdback} if holdback else {version: 100},
        promoted_us=observed.now_us,
        judged={**rollout.judged, version: "promote"},
        verdict=_verdict("promote", rollout, evidence, observed),
    )
    return Decision("promote", version, after, _shown(rollout, evidence, "is not worse"), evidence.summary())


def _bake(
    rollout: Rollout, observed: Observed, evidence: Evidence | None, new_rev: Callable[[], str]
) -> Decision | None:
    version, previous = str(rollout.champion), str(rollout.previous)
    if evidence is not None and evidence.is_worse and previous in observed.ready:
        after = replace(
            rollout,
            phase="Stable",
            champion=previous,
            previous=None,
            rev=new_rev(),
            weights={previous: 100},
            judged={**rollout.judged, version: "revert"},
            retired=(*rollout.retired, (version, observed.now_us)),
            verdict=_verdict("revert", rollout, evidence, observed),
        )
        why = _shown(rollout, evidence, f"is worse after all ({evidence.reason})")
        return Decision("revert", version, after, why, evidence.summary())
    # A bake shorter than the label window would end before the first label of the new champion could count.
    if observed.now_us - rollout.promoted_us < max(observed.policy.bake, observed.policy.label_window):
        return None
    after = replace(
        rollout,
        phase="Stable",
        previous=None,
        rev=new_rev(),
        weights={version: 100},
        retired=(*rollout.retired, (previous, observed.now_us)),
    )
    return Decision("baked", version, after, f"{version} has baked and serves all requests; {previous} retires")


def _failed(rollout: Rollout, observed: Observed, evidence: Evidence, new_rev: Callable[[], str]) -> Decision | None:
    why = _shown(rollout, evidence, f"is worse ({evidence.reason})")
    if observed.policy.on_fail == "hold":
        return _hold(rollout, observed, evidence, why)
    return _end(rollout, observed, new_rev, action="rollback", why=why, evidence=evidence)


def _expired(rollout: Rollout, observed: Observed, evidence: Evidence, new_rev: Callable[[], str]) -> Decision | None:
    why = f"{rollout.challenger} had no verdict within maxAge"
    if observed.policy.on_expiry == "hold":
        return _hold(rollout, observed, evidence, why)
    return _end(rollout, observed, new_rev, action="expire", why=why, evidence=evidence)


def _hold(rollout: Rollout, observed: Observed, evidence: Evidence, why: str) -> Decision | None:
    if rollout.phase == "Held":
        return None
    after = replace(rollout, phase="Held", held=why, verdict=_verdict("hold", rollout, evidence, observed))
    return Decision("hold", str(rollout.challenger), after, why, evidence.summary())


def _end(
    rollout: Rollout,
    observed: Observed,
    new_rev: Callable[[], str],
    *,
    action: Literal["rollback", "expire", "withdraw"],
    why: str,
    evidence: Evidence | None,
) -> Decision:
    """The challenger leaves, the champion serves everything again."""
    version, champion = str(rollout.challenger), str(rollout.champion)
    verdict = _verdict(action, rollout, evidence, observed) if evidence else rollout.verdict
    # A version that somebody withdrew was not judged: it may come back.
    judged = rollout.judged if action == "withdraw" else {**rollout.judged, version: action}
    after = replace(
        rollout,
        phase="Stable",
        challenger=None,
        earned=False,
        held="",
        rev=new_rev(),
        weights={champion: 100},
        judged=judged,
        retired=(*rollout.retired, (version, observed.now_us)) if action != "withdraw" else rollout.retired,
        verdict=verdict,
    )
    sentence = why if evidence else f"{version} {why}"
    return Decision(action, version, after, sentence, evidence.summary() if evidence else None)


def _verdict(verdict: str, rollout: Rollout, evidence: Evidence, observed: Observed) -> dict[str, Any]:
    champion, challenger = rollout.pair or ("", "")
    return {
        "verdict": verdict,
        "version": challenger,
        "champion": champion,
        "timeUs": observed.now_us,
        **evidence.summary(),
    }


def _shown(rollout: Rollout, evidence: Evidence, what: str) -> str:
    champion, challenger = rollout.pair or ("", "")
    numbers = evidence.summary()
    low, high = numbers["interval"]
    effect = (
        "no labels" if numbers["effect"] is None else f"effect {numbers['effect']:+.3f} in [{low:+.2f}, {high:+.2f}]"
    )
    labels = numbers["labelled"]
    return (
        f"{challenger} {what} than {champion}: {effect}, labels {labels['challenger']} against {labels['champion']}, "
        f"alpha {numbers['alpha']:g}"
    )
