"""From the ledger's increments to a comparison: reads only what is new, and remembers how far it read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, Self

from turnout.kube.turnouts import Policy
from turnout.stats.comparison import Comparison, Levels

__all__ = ["EvidenceSource", "Increment", "Test", "read_increment"]

Kind = Literal["predictions", "gateway"]
_BATCH = 5000


class EvidenceSource(Protocol):
    """The ledger, as far as evidence goes."""

    def evidence(
        self,
        turnout: str,
        *,
        namespace: str,
        champion: str,
        challenger: str,
        kind: Kind,
        cursor: str | None,
        window_us: int,
        limit: int,
    ) -> dict[str, Any]: ...


@dataclass
class Test:
    """The comparison of one (champion, challenger) pair and how far its evidence was read: one for life."""

    champion: str
    challenger: str
    comparison: Comparison
    cursor: str | None = None
    gateway_cursor: str | None = None

    @classmethod
    def begin(cls, champion: str, challenger: str, policy: Policy) -> Self:
        """A new test. The levels are those of its beginning: changing them on the way would void the guarantee."""
        levels = Levels(
            alpha=policy.alpha,
            margin=policy.margin,
            error_rate=policy.guardrails.error_rate,
            latency_ratio=policy.guardrails.latency_p99_ratio,
        )
        return cls(champion, challenger, Comparison(levels))

    def dump(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "champion": self.champion,
            "challenger": self.challenger,
            "levels": asdict(self.comparison.levels),
            "comparison": self.comparison.state(),
            "cursor": self.cursor,
            "gateway_cursor": self.gateway_cursor,
        }

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Self:
        """From `dump`."""
        comparison = Comparison.restored(Levels(**data["levels"]), data["comparison"])
        return cls(data["champion"], data["challenger"], comparison, data["cursor"], data["gateway_cursor"])


@dataclass(frozen=True)
class Increment:
    """What one reading brought. `labels_by_rev` counts matured labels of the challenger per revision of the weights."""

    units: int
    labels_by_rev: Mapping[str, int]
    waiting_for: tuple[str, ...]


def read_increment(source: EvidenceSource, turnout: str, *, namespace: str, test: Test, window_us: int) -> Increment:
    """Feed everything that has matured since the last reading into `test`.

    Raises:
        Unavailable: the ledger does not answer; the test is as it was after the last whole batch.
    """
    units, labels, waiting = 0, dict[str, int](), set[str]()
    for kind in ("predictions", "gateway"):
        while True:
            cursor = test.cursor if kind == "predictions" else test.gateway_cursor
            page = source.evidence(
                turnout,
                namespace=namespace,
                champion=test.champion,
                challenger=test.challenger,
                kind=kind,
                cursor=cursor,
                # Errors and durations need no labels: nothing is waited for.
                window_us=window_us if kind == "predictions" else 0,
                limit=_BATCH,
            )
            _feed(test, kind, page, labels)
            units += len(page["units"])
            if kind == "predictions":
                test.cursor = page["cursor"]
                waiting.update(page["waiting_for"])
            else:
                test.gateway_cursor = page["cursor"]
            if not page["more"]:
                break
    return Increment(units, labels, tuple(sorted(waiting)))


def _feed(test: Test, kind: Kind, page: Mapping[str, Any], labels: dict[str, int]) -> None:
    for unit in page["units"]:
        weights = page["revs"][unit["rev"]]
        pair = weights.get(test.champion, 0) + weights.get(test.challenger, 0)
        if not pair:
            continue
        assigned, share = unit["version"] == test.challenger, weights.get(test.challenger, 0) / pair
        if kind == "gateway":
            test.comparison.answer(
                error=bool(unit["error"]), duration_us=unit["duration_us"], assigned=assigned, share=share
            )
            continue
        test.comparison.assign(y=unit["y"], assigned=assigned, share=share)
        if assigned and unit["y"] is not None:
            labels[unit["rev"]] = labels.get(unit["rev"], 0) + 1
