"""Gather a report: the audit's decisions, and the evidence replayed by the controller's own code.

Nothing is taken from what a controller said it knew: the intervals are computed again from the ledger's frozen units,
in the order in which they count, so a report is also a check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from turnout.controller.evidence import EvidenceSource, Kind, Test, feed
from turnout.kube.turnouts import Policy, read_spec
from turnout.stats.comparison import Comparison, Levels

__all__ = ["Answer", "Effect", "Label", "Report", "Source", "gather"]

_PAGE = 5_000
_MOST_UNITS = 200_000  # of one version; a report is for looking at, and says when it stopped
_POINTS = 400  # of an effect's line


class Source(EvidenceSource, Protocol):
    """The ledger, as far as a report needs it."""

    def audit(self, *, namespace: str, turnout: str, after_seq: int = 0) -> dict[str, Any]: ...
    def state(self, turnout: str, *, namespace: str) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Effect:
    """What was known of a challenger when a unit's label window had closed."""

    time_us: int
    labels: int
    effect: float
    low: float
    high: float


@dataclass(frozen=True)
class Label:
    """A unit of evidence: its label's delay, None when none came in time, and its outcome."""

    time_us: int
    delay_us: int | None
    outcome: float | None


@dataclass(frozen=True)
class Answer:
    """A request as the gateway saw it."""

    time_us: int
    duration_us: int
    error: bool


@dataclass(frozen=True)
class Report:
    """Everything that a page shows. Series are by version; effects by (champion, challenger)."""

    name: str
    namespace: str
    status: Mapping[str, Any]
    policy: Policy
    shares: Sequence[tuple[int, Mapping[str, int]]]
    decisions: Sequence[Mapping[str, Any]]
    effects: Mapping[tuple[str, str], Sequence[Effect]]
    labels: Mapping[str, Sequence[Label]]
    answers: Mapping[str, Sequence[Answer]]
    cut: Sequence[str]

    @property
    def headline(self) -> str:
        """The state in one sentence."""
        decided = next(
            (d["data"]["sentence"] for d in reversed(self.decisions) if d["action"] != "alias"),
            "nothing was decided yet",
        )
        return f"champion of {self.name} is {self.status.get('champion') or 'nobody'}; last: {decided}"

    @property
    def versions(self) -> list[str]:
        """Every version that ever had a share, in the order of their first."""
        return list(dict.fromkeys(version for _, weights in self.shares for version in weights))

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; single requests are left out."""
        return {
            "name": self.name,
            "namespace": self.namespace,
            "status": self.status,
            "shares": [{"time_us": time_us, "weights": weights} for time_us, weights in self.shares],
            "decisions": list(self.decisions),
            "effects": [
                {"champion": a, "challenger": b, "points": [asdict(point) for point in points]}
                for (a, b), points in self.effects.items()
            ],
            "cut": list(self.cut),
        }


def gather(turnout: Mapping[str, Any], ledger: Source) -> Report:
    """Read audit and evidence of one Turnout.

    Raises:
        Unavailable: the ledger does not answer.
    """
    name, namespace = turnout["metadata"]["name"], turnout["metadata"]["namespace"]
    policy = read_spec(dict(turnout)).policy
    rows = list(_audit(ledger, name, namespace))
    shares = [(row["time_us"], row["data"]["weights"]) for row in rows if row["action"] == "weights"]
    reader = _Reader(ledger, name, namespace, policy, (ledger.state(name, namespace=namespace)["state"] or {}))
    versions = list(dict.fromkeys(version for _, weights in shares for version in weights))
    labels = {version: [_label(unit) for unit in reader.units(version, "predictions")] for version in versions}
    answers = {version: [_answer(unit) for unit in reader.units(version, "gateway")] for version in versions}
    return Report(
        name=name,
        namespace=namespace,
        status=turnout.get("status") or {},
        policy=policy,
        shares=shares,
        decisions=[row for row in rows if "sentence" in row["data"]],
        effects={pair: reader.effects(*pair) for pair in _pairs(rows)},
        labels=labels,
        answers=answers,
        cut=sorted(reader.cut),
    )


def _audit(ledger: Source, name: str, namespace: str) -> Iterator[dict[str, Any]]:
    seq = 0
    while rows := ledger.audit(namespace=namespace, turnout=name, after_seq=seq)["rows"]:
        yield from rows
        seq = rows[-1]["seq"]


def _pairs(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Who was compared with whom: every challenge, at its start."""
    starts = [row["data"] for row in rows if row["action"] == "start"]
    return list(dict.fromkeys((data["champion"], data["version"]) for data in starts))


@dataclass
class _Reader:
    ledger: Source
    name: str
    namespace: str
    policy: Policy
    state: Mapping[str, Any]

    def __post_init__(self) -> None:
        self.cut: set[str] = set()

    def units(self, version: str, kind: Kind) -> Iterator[Mapping[str, Any]]:
        """All units of a version, up to the most that a page can show."""
        read = 0
        for page in self._pages(version, version, kind):
            yield from page["units"]
            read += len(page["units"])
            if read >= _MOST_UNITS:
                self.cut.add(version)
                return

    def effects(self, champion: str, challenger: str) -> list[Effect]:
        """The comparison as it grew, thinned to what a line can show."""
        test = self._test(champion, challenger)
        tainted = (self.state.get("rollout") or {}).get("tainted") or {}
        found: list[Effect] = []
        for page in self._pages(champion, challenger, "predictions"):
            # In portions, so that the line has points within a page as well.
            for start in range(0, len(page["units"]), 25):
                portion = {**page, "units": page["units"][start : start + 25]}
                feed(test, "predictions", portion, tainted)
                if (
                    not found
                    or found[-1].labels < test.comparison.champion.labelled + test.comparison.challenger.labelled
                ):
                    found += self._point(test, portion["units"][-1])
        step = max(1, len(found) // _POINTS)
        return found[::step] + (found[-1:] if found and (len(found) - 1) % step else [])

    def _point(self, test: Test, unit: Mapping[str, Any]) -> list[Effect]:
        numbers = test.summary()
        if numbers["effect"] is None:
            return []
        low, high = numbers["interval"]
        known_us = unit["time_us"] + self.policy.label_window
        return [Effect(known_us, numbers["n"], numbers["effect"], low, high)]

    def _test(self, champion: str, challenger: str) -> Test:
        saved = (self.state.get("tests") or {}).get(f"{champion}|{challenger}")
        if saved:
            return Test(champion, challenger, Comparison(Levels(**saved["levels"])))
        return Test.begin(champion, challenger, self.policy, family=1, since_us=0)

    def _pages(self, champion: str, challenger: str, kind: Kind) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            page = self.ledger.evidence(
                self.name,
                namespace=self.namespace,
                champion=champion,
                challenger=challenger,
                kind=kind,
                host="",
                cursor=cursor,
                since_us=None,
                window_us=self.policy.label_window if kind == "predictions" else 0,
                limit=_PAGE,
            )
            if page["units"]:
                yield page
            cursor = page["cursor"]
            if not page["more"]:
                return


def _label(unit: Mapping[str, Any]) -> Label:
    return Label(unit["time_us"], unit.get("delay_us"), unit["y"])


def _answer(unit: Mapping[str, Any]) -> Answer:
    return Answer(unit["time_us"], unit["duration_us"], bool(unit["error"]))
