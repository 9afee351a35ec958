"""What people order, at any moment: also halfway through a promotion, and while everything is held or frozen.

A promotion that the evidence has earned is an approval, and inside the guarantee; whatever else a person decides is
marked as outside of it, in the audit and in the report.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from turnout.controller import endings, judging
from turnout.controller.records import Decision, Rules
from turnout.controller.rollout import Rollout
from turnout.kube.orders import Order

__all__ = ["obey"]


class _Refused(Exception):
    """The order cannot be carried out; the message says why."""


def obey(rules: Rules, order: Order) -> Decision:
    """What becomes of an order: done, or refused with the reason."""
    verbs = {"promote": _promote, "rollback": _rollback, "hold": _hold, "resume": _resume, "retry": _retry}
    try:
        made, result = verbs[order.verb](rules, order), "done"
    except _Refused as refusal:
        sentence = f"{order.by} asked to {order.verb} {order.version}".rstrip() + f": {refusal}"
        made, result = Decision("refuse", order.version, rules.rollout, sentence), "refused"
    told = {"id": order.id, "verb": order.verb, "by": order.by, "result": result, "message": made.sentence}
    return replace(made, rollout=replace(made.rollout, last_order=told), actor=order.by, reason=order.reason)


def _promote(rules: Rules, order: Order) -> Decision:
    rollout = rules.rollout
    version = order.version or _only_challenger(rollout) or ""
    if rollout.previous is not None and version in ("", rollout.champion):
        return judging.baked(rules, sentence=_said(order, f"{rollout.champion} has baked long enough"))
    if not version:
        raise _Refused("nobody is under test; name a version")
    if version == rollout.champion:
        raise _Refused(f"{version} is the champion already")
    if version not in rules.observed.ready:
        raise _Refused(f"InferenceService {version} is not Ready")
    if rollout.champion is None:
        raise _Refused("the endpoint has no champion yet; the first ready challenger becomes it")
    challenge = rollout.challenge(version)
    earned = challenge is not None and challenge.earned
    guarantee: Literal["inside", "outside"] = "inside" if earned else "outside"
    what = f"{version} is promoted" + ("" if earned else " before the evidence was sufficient")
    return judging.promoted(rules, version, sentence=_said(order, what), guarantee=guarantee)


def _rollback(rules: Rules, order: Order) -> Decision:
    rollout = rules.rollout
    under_test = [c.version for c in rollout.challenges if order.version in ("", c.version)]
    if under_test:
        what = f"{', '.join(under_test)} rolled back"
        return endings.end(
            rules, under_test, action="rollback", why=_said(order, what), judged="rollback", actor=order.by
        )
    if order.version not in ("", rollout.champion):
        raise _Refused(f"{order.version} is neither under test nor champion")
    if rollout.previous is None:
        return _return(rules, order)
    if rollout.previous not in rules.observed.ready:
        raise _Refused(f"InferenceService {rollout.previous} is not Ready")
    sentence = _said(order, f"{rollout.champion} rolled back to {rollout.previous}")
    return judging.reverted(rules, sentence=sentence, guarantee="outside")


def _return(rules: Rules, order: Order) -> Decision:
    """Long after its bake a champion can still give way to the one before it, as long as that is kept warm."""
    rollout, ready = rules.rollout, rules.observed.ready
    owners = [v for v, _ in rollout.retired if rollout.judged.get(v) in ("adopt", "promote") and v in ready]
    if not owners:
        raise _Refused("nobody is under test, and no earlier champion is warm")
    earlier = replace(rules, rollout=replace(rollout, previous=owners[-1]))
    kept = tuple((v, t) for v, t in rollout.retired if v != owners[-1])
    sentence = _said(order, f"{rollout.champion} rolled back to {owners[-1]}")
    made = judging.reverted(earlier, sentence=sentence, guarantee="outside")
    retired = (*kept, (str(rollout.champion), rules.observed.now_us))
    return replace(made, rollout=replace(made.rollout, retired=retired))


def _hold(rules: Rules, order: Order) -> Decision:
    if rules.rollout.held:
        raise _Refused(f"it is held already: {rules.rollout.held}")
    what = _said(order, "held")
    return Decision("hold", rules.rollout.challenger or "", replace(rules.rollout, held=what), what)


def _resume(rules: Rules, order: Order) -> Decision:
    """Go on. A version that the evidence refuted cannot; one that expired starts its age anew."""
    rollout = rules.rollout
    if not rollout.held and not any(c.held for c in rollout.challenges):
        raise _Refused("nothing is held")
    refuted = [c.version for c in rollout.challenges if c.held and _is_worse(rules, c.version)]
    if refuted and not rollout.held:
        raise _Refused(f"{', '.join(refuted)} was shown to be worse; promote or rollback is what remains")
    now_us = rules.observed.now_us
    challenges = tuple(
        replace(c, held="", started_us=now_us) if c.held and c.version not in refuted else c for c in rollout.challenges
    )
    after = replace(rollout, held="", challenges=challenges)
    return Decision("resume", rollout.challenger or "", after, _said(order, "resumed"))


def _retry(rules: Rules, order: Order) -> Decision:
    rollout, version = rules.rollout, order.version
    if version not in rollout.judged or version in rollout.served:
        raise _Refused(f"{version} was not judged" if version not in rollout.judged else f"{version} is in the route")
    judged = {v: word for v, word in rollout.judged.items() if v != version}
    retired = tuple((v, t) for v, t in rollout.retired if v != version)
    sentence = _said(order, f"{version} may challenge again; its evidence goes on where it was")
    return Decision("retry", version, replace(rollout, judged=judged, retired=retired), sentence)


def _is_worse(rules: Rules, version: str) -> bool:
    evidence = rules.evidence.get(version)
    return evidence is not None and evidence.is_worse


def _only_challenger(rollout: Rollout) -> str | None:
    if len(rollout.challenges) > 1:
        names = ", ".join(c.version for c in rollout.challenges)
        raise _Refused(f"several are under test ({names}); name one")
    return rollout.challenger


def _said(order: Order, what: str) -> str:
    return f"{what}, by {order.by}" + (f": {order.reason}" if order.reason else "")
