"""Shadows against the answers that callers got: read from the ledger in pairs, shown in the status, decide nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from turnout.kube.turnouts import TurnoutSpec
from turnout.stats.paired import PairedComparison

__all__ = ["Pairs", "read", "status"]

_BATCH = 1_000


class Pairs(Protocol):
    """The ledger, as far as shadows go."""

    def pairs(
        self,
        turnout: str,
        *,
        namespace: str,
        shadow: str,
        cursor: str | None,
        since_us: int | None,
        window_us: int,
        limit: int,
    ) -> dict[str, Any]: ...


@dataclass
class _Shadow:
    """One shadow's comparison and how far its pairs were read; log_ratio sums the logarithms of the times' ratios."""

    comparison: PairedComparison
    since_us: int
    cursor: str | None = None
    timed: int = 0
    log_ratio: float = 0.0

    def take(self, pair: dict[str, Any]) -> None:
        self.comparison.answer(agree=pair["agree"])
        if pair["y"] is not None and pair["shadow_y"] is not None:
            self.comparison.pair(champion=pair["y"], challenger=pair["shadow_y"])
        if pair["duration_us"] and pair["shadow_duration_us"]:
            self.timed += 1
            self.log_ratio += math.log(pair["shadow_duration_us"] / pair["duration_us"])

    def dump(self) -> dict[str, Any]:
        return {
            "comparison": self.comparison.state(),
            "since_us": self.since_us,
            "cursor": self.cursor,
            "timed": self.timed,
            "log_ratio": self.log_ratio,
        }


def read(
    ledger: Pairs, name: str, saved: dict[str, Any], *, namespace: str, spec: TurnoutSpec, now_us: int
) -> tuple[dict[str, Any], bool]:
    """The shadows' states with what has come since, and whether anything has. One batch a round: nobody waits for it.

    Raises:
        Unavailable: the ledger does not answer.
    """
    states, changed = {}, set(saved) != set(spec.shadows)
    for version in spec.shadows:
        shadow = _load(saved.get(version), spec, now_us=now_us)
        page = ledger.pairs(
            name,
            namespace=namespace,
            shadow=version,
            cursor=shadow.cursor,
            since_us=shadow.since_us,
            window_us=spec.policy.label_window,
            limit=_BATCH,
        )
        for pair in page["pairs"]:
            shadow.take(pair)
        shadow.cursor = page["cursor"]
        states[version] = shadow.dump()
        changed = changed or bool(page["pairs"])
    return states, changed


def status(states: dict[str, Any], spec: TurnoutSpec, ready: frozenset[str]) -> list[dict[str, Any]]:
    """What the status shows of each shadow."""
    found = []
    for version in spec.shadows:
        shadow = _load(states.get(version), spec, now_us=0)
        numbers = shadow.comparison.summary()
        ratio = math.exp(shadow.log_ratio / shadow.timed) if shadow.timed else None
        known = {
            "version": version,
            "ready": version in ready,
            "pairs": numbers["answers"],
            "disagreement": numbers["disagreement"],
            "latencyRatio": ratio,
            "labelled": numbers["pairs"],
            "effect": numbers["effect"],
            "evidence": numbers["evidence"],
        }
        # An API server takes no null inside a list.
        found.append({name: value for name, value in known.items() if value is not None})
    return found


def _load(saved: dict[str, Any] | None, spec: TurnoutSpec, *, now_us: int) -> _Shadow:
    comparison = PairedComparison(alpha=spec.policy.alpha, margin=spec.policy.margin)
    if saved is None:
        return _Shadow(comparison, since_us=now_us)
    comparison.restore(saved["comparison"])
    return _Shadow(comparison, saved["since_us"], saved["cursor"], saved["timed"], saved["log_ratio"])
