"""The decision: a pure function from what was observed to the next thing to do, or nothing.

Order of the rules is order of importance: a rollback is never delayed by anything below it, and "not enough evidence"
is no rule at all: it is what remains, and it means hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from turnout.controller import endings, judging, ordering
from turnout.controller.records import Decision, Evidence, Observed, Rules
from turnout.controller.rollout import Challenge, Rollout
from turnout.controller.weighing import seated, shares, weighed

__all__ = ["decide"]


def decide(
    rollout: Rollout, observed: Observed, evidence: Mapping[str, Evidence], *, new_rev: Callable[[], str]
) -> Decision | None:
    """The next decision, or None: hold everything as it is.

    Args:
        rollout: the state so far.
        observed: spec, readiness, clock, orders, and what cannot be seen.
        evidence: the comparison of every version under test with its champion; of the champion itself while it bakes.
        new_rev: makes a token for changed weights.
    """
    rules = Rules(rollout, observed, evidence, new_rev)
    order = observed.order
    if order is not None and order.id != rollout.last_order.get("id"):
        return ordering.obey(rules, order)
    if rollout.champion is None:
        return _adopt(rules)
    return (
        _leave_blind(rules)
        or _withdraw(rules)
        or judging.fail(rules)
        or judging.bake(rules)
        or judging.advance(rules)
        or _start(rules)
    )


def _adopt(rules: Rules) -> Decision | None:
    """The first version of an endpoint has nobody to be compared with."""
    rollout, observed = rules.rollout, rules.observed
    version = next((v for v in observed.challengers if v in observed.ready and v not in rollout.judged), None)
    if version is None:
        return None
    after = replace(rollout, champion=version, judged={**rollout.judged, version: "adopt"}, order=(version,))
    after = weighed(after, {version: 100}, rev=rules.new_rev, now_us=observed.now_us)
    return Decision("adopt", version, after, f"{version} is the first version of this endpoint and becomes champion")


def _leave_blind(rules: Rules) -> Decision | None:
    """Take challengers back that nobody has been able to watch for too long."""
    observed, versions = rules.observed, [c.version for c in rules.rollout.challenges]
    blind, policy = observed.blind, observed.policy
    too_long = policy.on_blind == "rollback" and blind.what and observed.now_us - blind.since_us > policy.blind_time
    if not versions or not (blind.rolled_back or too_long):
        return None
    why = f"{', '.join(versions)} taken back: {blind.what or 'the ledger was away'} for longer than blindTime"
    return endings.end(rules, versions, action="rollback", why=why, judged="blind")


def _withdraw(rules: Rules) -> Decision | None:
    """Versions that nobody wants tested any more. They were not judged: who comes back goes on where it was."""
    observed, under_test = rules.observed, [c.version for c in rules.rollout.challenges]
    reasons = {
        "was taken out of spec.challengers": [v for v in under_test if v not in observed.challengers],
        "leaves: its InferenceService is being deleted": [v for v in under_test if v in observed.leaving],
        "leaves: its InferenceService is gone": [v for v in under_test if v in observed.missing],
    }
    for why, versions in reasons.items():
        if versions:
            return endings.end(rules, versions, action="withdraw", why=f"{', '.join(versions)} {why}")
    return None


def _start(rules: Rules) -> Decision | None:
    """The next challenger, where policy, freeze and people leave room for one."""
    rollout, observed = rules.rollout, rules.observed
    if rollout.held or observed.frozen or rollout.previous is not None:
        return None
    taken = {rollout.champion, *rollout.judged, *(c.version for c in rollout.challenges)}
    waiting = [v for v in observed.challengers if v not in taken and v in observed.ready]
    if not waiting:
        return None
    if not rollout.challenges:
        newest = waiting[-1] if observed.policy.on_second == "replace" else waiting[0]
        return _begin(rules, newest, waiting)
    if observed.policy.on_second == "replace":
        old = [c.version for c in rollout.challenges]
        why = f"{waiting[-1]} takes the place of {', '.join(old)}"
        return endings.end(rules, old, action="replace", why=why, judged="replace")
    return _begin(rules, waiting[0], waiting) if observed.policy.on_second == "together" else None


def _begin(rules: Rules, version: str, waiting: list[str]) -> Decision | None:
    rollout, observed = rules.rollout, rules.observed
    family = _family(rollout, waiting) if observed.policy.on_second == "together" else 1
    if family is None:
        return None
    now_us = observed.now_us
    challenge = Challenge(version, family=family, started_us=now_us, step_started_us=now_us)
    after = seated(rollout, version)
    after = replace(after, challenges=(*rollout.challenges, challenge), verdict=None)
    after = judging.reweighed(after, rules)
    share = shares(after.challenges, observed.policy)[version]
    among = f", one of {family} at a time" if family > 1 else ""
    sentence = f"{version} challenges {rollout.champion} with {share} % of the requests{among}"
    return Decision("start", version, after, sentence)


def _family(rollout: Rollout, waiting: list[str]) -> int | None:
    """Among how many a newcomer splits the error rate that those under test leave; None when they leave nothing.

    With bars of k/α each, all that are under test together are wrong with probability at most α Σ 1/k <= α.
    """
    room = 1.0 - sum(1.0 / challenge.family for challenge in rollout.challenges)
    return math.ceil(len(waiting) / room - 1e-9) if room > 1e-9 else None
