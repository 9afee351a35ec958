"""The offline gate: a pure decision from scores to yes or no, with its reason in one sentence.

The rule. A model passes when its metric on the test part reaches the minimum, and it is not *shown to be worse* than
the champion: the paired test on the same rows rejects "at most `margin` below the champion" at level `alpha`. The
burden of proof lies with the refusal. An equal model passes 95 times in 100 (at alpha 0.05) instead of failing every
second time by a hair of noise, and a clearly worse one is stopped; what the test is too small to see is stated, and is
what the canary is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from turnout.spec import Gates
from turnout.steps.evaluate_baselines import Baseline
from turnout.steps.evaluate_behaviour import Behaved
from turnout.steps.evaluate_statistics import Estimate, Paired
from turnout.steps.replay import Replay

__all__ = ["Decision", "decide"]


@dataclass(frozen=True)
class Decision:
    """Whether the version may be registered, and why. `enforced` is false when the spec switches the gate off."""

    passed: bool
    reason: str
    enforced: bool = True


def decide(
    *,
    gates: Gates,
    metric: str,
    score: Estimate,
    champion: str,
    comparison: Paired | None,
    incomparable: str = "",
    replayed: Replay | None = None,
    behaved: Sequence[Behaved] = (),
    baselines: Sequence[Baseline] = (),
) -> Decision:
    """The gate's answer.

    `champion` is the champion's version, empty when the endpoint has none; without a `comparison`, `incomparable` says
    why there is none. `replayed` is there when the spec asks for a replay, `behaved` are its checks of behaviour,
    `baselines` the answers without a model that it wants to be beaten.
    """
    checks = (
        _minimum(gates, metric, score),
        _against_champion(gates, metric, champion, comparison, incomparable),
        _on_logged_requests(gates, replayed),
        *map(_behaves, behaved),
        *(_beats(metric, one) for one in baselines),
    )
    passed = all(ok for ok, _ in checks)
    failures = [text for ok, text in checks if not ok]
    reason = "; ".join(failures or [text for _, text in checks if text])
    if not gates.enabled:
        verdict = "it would have passed" if passed else "it would have stopped this model"
        return Decision(passed=True, reason=f"the gate is switched off; {verdict}: {reason}", enforced=False)
    return Decision(passed=passed, reason=reason)


def _minimum(gates: Gates, metric: str, score: Estimate) -> tuple[bool, str]:
    said = f"{metric} {score.value:.4f} (95 % interval {score.low:.4f} to {score.high:.4f})"
    if gates.minimum is None:
        return True, said
    if score.value < gates.minimum:
        return False, f"{said} on the test part is below the minimum {gates.minimum:g}"
    return True, f"{said} on the test part reaches the minimum {gates.minimum:g}"


def _against_champion(
    gates: Gates, metric: str, champion: str, comparison: Paired | None, incomparable: str
) -> tuple[bool, str]:
    if not champion:
        return True, "there is no champion to compare with"
    if comparison is None:
        return True, f"not comparable with champion {champion}: {incomparable}"
    alpha, margin = gates.champion.alpha, gates.champion.margin
    by = f" by more than {margin:g}" if margin else ""
    numbers = (
        f"{metric} {comparison.difference:+.4f} (95 % interval {comparison.low:+.4f} to {comparison.high:+.4f}, "
        f"p of 'not worse' {comparison.worse_p:.3g}, {comparison.rows} paired rows)"
    )
    if comparison.worse_p <= alpha:
        return False, f"worse than champion {champion}{by}: {numbers}"
    if comparison.low > 0:
        return True, f"better than champion {champion}: {numbers}"
    if not comparison.smallest_effect:
        return True, f"just as good as champion {champion}: {numbers}"
    seen = f"a loss of {comparison.smallest_effect:.3g} would have been found in 80 % of cases"
    return True, f"not shown to be worse than champion {champion}{by}: {numbers}; {seen}"


def _beats(metric: str, one: Baseline) -> tuple[bool, str]:
    said = (
        f"{one.name} ({metric} {one.score:.4f}): {one.comparison.difference:+.4f} "
        f"(95 % interval {one.comparison.low:+.4f} to {one.comparison.high:+.4f})"
    )
    return one.beaten, f"better than {said}" if one.beaten else f"not shown to be better than {said}"


def _behaves(one: Behaved) -> tuple[bool, str]:
    if one.passed:
        return True, ""
    said = f"behaviour {one.name}: {one.share:.1%} of {one.rows} rows behave so, {one.wanted:.1%} were wanted"
    return False, f"{said}; {one.example}"


def _on_logged_requests(gates: Gates, replayed: Replay | None) -> tuple[bool, str]:
    """Nothing logged is no reason to refuse: the first version of an endpoint has nothing to be compared with."""
    if replayed is None or gates.replay is None:
        return True, ""
    if replayed.disagreement is None:
        return True, f"nothing was replayed: {replayed.reason}"
    most = gates.replay.max_disagreement
    said = f"on the last {replayed.requests} requests it answers otherwise than {replayed.champion}"
    if replayed.low is None:
        said += f" by {replayed.disagreement:.3g} standard deviations"
    else:
        said += f" in {replayed.disagreement:.1%} of {replayed.rows} rows"
    if most is not None and replayed.disagreement > most:
        return False, f"{said}, more than max_disagreement allows ({most:g})"
    return True, said
