"""What follows from evidence: rollback, verdict, the next step, promotion, bake."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from turnout.controller import endings
from turnout.controller.records import Decision, Evidence, Rules
from turnout.controller.rollout import Challenge, Rollout
from turnout.controller.weighing import shares, weighed
from turnout.stats.alarms import too_old

__all__ = ["advance", "bake", "baked", "fail", "promoted", "reverted", "reweighed"]


def reweighed(after: Rollout, rules: Rules) -> Rollout:
    """The rollout with the weights that its challenges ask for."""
    wanted = shares(after.challenges, rules.observed.policy)
    weights = {str(after.champion): 100 - sum(wanted.values()), **wanted}
    return weighed(after, weights, rev=rules.new_rev, now_us=rules.observed.now_us)


def fail(rules: Rules) -> Decision | None:
    """Act on the first version under test that was shown to be worse. Nothing stops this, no hold and no alarm."""
    for challenge in rules.rollout.challenges:
        evidence = rules.evidence.get(challenge.version)
        if evidence is None or not evidence.is_worse:
            continue
        why = endings.shown(rules.rollout, challenge.version, evidence, f"is worse ({evidence.reason})")
        if rules.observed.policy.on_fail == "rollback":
            return endings.end(
                rules, [challenge.version], action="rollback", why=why, judged="rollback", evidence=evidence
            )
        if not challenge.held:
            return _held(rules, challenge, evidence, why)
    return None


def advance(rules: Rules) -> Decision | None:
    """The first step forward that anybody under test may take."""
    for challenge in rules.rollout.challenges:
        evidence = rules.evidence.get(challenge.version)
        if evidence is None or challenge.held or rules.rollout.held:
            continue
        made = _expired(rules, challenge, evidence) or _forward(rules, challenge, evidence)
        if made is not None:
            return made
    return None


def _forward(rules: Rules, challenge: Challenge, evidence: Evidence) -> Decision | None:
    if evidence.alarms or evidence.is_worse or _is_old(rules, evidence):
        return None
    if evidence.is_not_worse and not challenge.earned:
        rollout, version = rules.rollout, challenge.version
        after = replace(
            rollout.with_challenge(replace(challenge, earned=True)),
            verdict=endings.verdict("promote", rollout, version, evidence, rules.observed.now_us),
        )
        sentence = endings.shown(rollout, version, evidence, "is not worse")
        return Decision("verdict", version, after, sentence, evidence.summary(), guarantee="inside")
    return _step(rules, challenge, evidence)


def _is_old(rules: Rules, evidence: Evidence) -> bool:
    observed = rules.observed
    return too_old(newest_us=evidence.newest_us, now_us=observed.now_us, limit_us=observed.policy.max_age)


def _step(rules: Rules, challenge: Challenge, evidence: Evidence) -> Decision | None:
    observed, policy, version = rules.observed, rules.observed.policy, challenge.version
    if observed.now_us - challenge.step_started_us < policy.step_time or version not in observed.ready:
        return None
    # Who cannot see, or is told to wait, raises nobody's share.
    if observed.frozen or observed.blind.what:
        return None
    if not challenge.earned and (challenge.step_labels < policy.min_labels or evidence.leans_to_rollback):
        return None
    if challenge.step + 1 >= len(policy.steps):
        return _finish(rules, challenge, evidence)
    raised = replace(challenge, step=challenge.step + 1, step_labels=0, step_started_us=observed.now_us)
    after = reweighed(rules.rollout.with_challenge(raised), rules)
    share = after.weights[version]
    sentence = f"{version} goes to {share} % after {challenge.step_labels} labels of its own in this step"
    return Decision("step", version, after, sentence, evidence.summary())


def _finish(rules: Rules, challenge: Challenge, evidence: Evidence) -> Decision | None:
    if not challenge.earned:
        return None
    version = challenge.version
    if rules.observed.policy.approval == "required":
        if challenge.awaits:
            return None
        after = rules.rollout.with_challenge(replace(challenge, awaits=True))
        sentence = f"{version} has earned its promotion and waits for a person to approve it"
        return Decision("await", version, after, sentence, evidence.summary())
    sentence = endings.shown(rules.rollout, version, evidence, "is not worse")
    return promoted(rules, version, sentence=sentence, guarantee="inside")


def promoted(
    rules: Rules,
    version: str,
    *,
    sentence: str,
    guarantee: Literal["inside", "outside"],
    actor: str = "controller",
    reason: str = "",
) -> Decision:
    """The version becomes champion; the old one keeps the holdback while it bakes. Others under test queue again."""
    rollout, observed = rules.rollout, rules.observed
    champion, holdback, now_us = str(rollout.champion), observed.policy.holdback, observed.now_us
    evidence = rules.evidence.get(version)
    older = ((rollout.previous, now_us),) if rollout.previous not in (None, version) else ()
    after = replace(
        rollout,
        champion=version,
        previous=champion,
        challenges=(),
        promoted_us=now_us,
        judged={**rollout.judged, version: "promote"},
        retired=(*((v, t) for v, t in rollout.retired if v != version), *((str(v), t) for v, t in older)),
        verdict=endings.verdict("promote", rollout, version, evidence, now_us, guarantee)
        if evidence
        else {"verdict": "promote", "version": version, "guarantee": guarantee, "timeUs": now_us},
    )
    after = weighed(after, {version: 100 - holdback, champion: holdback}, rev=rules.new_rev, now_us=now_us)
    summary = evidence.summary() if evidence else None
    return Decision("promote", version, after, sentence, summary, actor=actor, guarantee=guarantee, reason=reason)


def bake(rules: Rules) -> Decision | None:
    """While a new champion bakes: late labels may revert it; after that the old one retires."""
    rollout, observed = rules.rollout, rules.observed
    if rollout.previous is None:
        return None
    version, previous = str(rollout.champion), rollout.previous
    evidence = rules.evidence.get(version)
    if evidence is not None and evidence.is_worse and previous in observed.ready:
        why = endings.shown(rollout, version, evidence, f"is worse after all ({evidence.reason})")
        return reverted(rules, sentence=why, guarantee="inside")
    if version in observed.leaving | observed.missing and previous in observed.ready:
        why = f"{previous} owns the endpoint again: InferenceService {version} was deleted while it baked"
        return reverted(rules, sentence=why, guarantee="outside")
    if previous in observed.missing:
        why = f"{version} serves all requests: InferenceService {previous} was deleted before the bake was over"
        return baked(rules, sentence=why)
    # A bake shorter than the label window would end before the first label of the new champion could count, and one
    # that ends blind would not have watched at all.
    waited_us = observed.now_us - rollout.promoted_us
    if waited_us < max(observed.policy.bake, observed.policy.label_window) or observed.blind.what:
        return None
    if rollout.held or observed.frozen:
        return None
    return baked(rules, sentence=f"{version} has baked and serves all requests; {previous} retires")


def baked(rules: Rules, *, sentence: str, actor: str = "controller", reason: str = "") -> Decision:
    """The new champion serves everything, the old one retires."""
    rollout, now_us = rules.rollout, rules.observed.now_us
    version = str(rollout.champion)
    after = replace(rollout, previous=None, retired=(*rollout.retired, (str(rollout.previous), now_us)))
    after = weighed(after, {version: 100}, rev=rules.new_rev, now_us=now_us)
    return Decision("baked", version, after, sentence, actor=actor, reason=reason)


def reverted(
    rules: Rules, *, sentence: str, guarantee: Literal["inside", "outside"], actor: str = "controller", reason: str = ""
) -> Decision:
    """The old champion serves everything again."""
    rollout, now_us = rules.rollout, rules.observed.now_us
    version, previous = str(rollout.champion), str(rollout.previous)
    evidence = rules.evidence.get(version)
    after = replace(
        rollout,
        champion=previous,
        previous=None,
        judged={**rollout.judged, version: "revert"},
        retired=(*rollout.retired, (version, now_us)),
        verdict=endings.verdict("revert", rollout, version, evidence, now_us, guarantee) if evidence else None,
    )
    after = weighed(after, {previous: 100}, rev=rules.new_rev, now_us=now_us)
    summary = evidence.summary() if evidence else None
    return Decision("revert", version, after, sentence, summary, actor=actor, guarantee=guarantee, reason=reason)


def _expired(rules: Rules, challenge: Challenge, evidence: Evidence) -> Decision | None:
    observed = rules.observed
    # Evidence that is due but not seen yet is no reason to give up on a version.
    too_old = observed.now_us - challenge.started_us > observed.policy.max_age
    if challenge.earned or evidence.is_not_worse or not too_old:
        return None
    why = f"{challenge.version} had no verdict within maxAge"
    if observed.policy.on_expiry == "hold":
        return _held(rules, challenge, evidence, why)
    return endings.end(rules, [challenge.version], action="expire", why=why, judged="expire", evidence=evidence)


def _held(rules: Rules, challenge: Challenge, evidence: Evidence, why: str) -> Decision:
    rollout, version = rules.rollout, challenge.version
    after = replace(
        rollout.with_challenge(replace(challenge, held=why)),
        verdict=endings.verdict("hold", rollout, version, evidence, rules.observed.now_us),
    )
    return Decision("hold", version, after, why, evidence.summary())
