"""From the ledger's increments to a comparison: reads only what is new, and remembers how far it read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, Self

from turnout.kube.turnouts import Policy
from turnout.stats.comparison import Comparison, Levels
from turnout.stats.sticky import Seen, unit_share

__all__ = ["EvidenceSource", "Homeless", "Increment", "Test", "Window", "feed", "read_increment"]

Kind = Literal["predictions", "gateway"]
_BATCH = 5000
# A test remembers two numbers per sticky user. Users beyond these are no evidence; who they are does not depend on the
# version that they met.
_MOST_SUBJECTS = 50_000


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
        host: str,
        cursor: str | None,
        since_us: int | None,
        window_us: int,
        limit: int,
    ) -> dict[str, Any]: ...


@dataclass
class Window:
    """Which predictions a test rests on: the first and the last of them."""

    first: str = ""
    first_us: int = 0
    last: str = ""
    last_us: int = 0

    def reach(self, unit: Mapping[str, Any]) -> None:
        """Take in one more unit."""
        if not self.first:
            self.first, self.first_us = unit["id"], unit["time_us"]
        self.last, self.last_us = unit["id"], unit["time_us"]


@dataclass
class Test:
    """The comparison of one (champion, challenger) pair and how far its evidence was read: one for life.

    `since_us` is when it began: what the champion did before is not concurrent. `subjects` has, per sticky user, what
    is known of the user's place and the last revision in which the user counted: the unit is (user, revision), its
    outcome that of the user's first request in it.
    """

    __test__ = False  # a test of models, none of ours

    champion: str
    challenger: str
    comparison: Comparison
    since_us: int = 0
    cursor: str | None = None
    gateway_cursor: str | None = None
    window: Window = field(default_factory=Window)
    subjects: dict[str, tuple[float, float, str]] = field(default_factory=dict)

    @classmethod
    def begin(cls, champion: str, challenger: str, policy: Policy, *, family: int, since_us: int) -> Self:
        """A new test. The levels are those of its beginning: changing them on the way would void the guarantee."""
        levels = Levels(
            alpha=policy.alpha,
            margin=policy.margin,
            error_rate=policy.guardrails.error_rate,
            latency_ratio=policy.guardrails.latency_p99_ratio,
            challengers=family,
        )
        return cls(champion, challenger, Comparison(levels), since_us)

    @property
    def is_worse(self) -> bool:
        """Whether the challenger was shown to be worse."""
        return self.comparison.is_worse

    @property
    def is_not_worse(self) -> bool:
        """Whether it was shown to be not worse by the margin."""
        return self.comparison.is_not_worse

    @property
    def leans_to_rollback(self) -> bool:
        """Whether the evidence speaks against a greater share."""
        return self.comparison.leans_to_rollback

    @property
    def alarms(self) -> list[str]:
        """Why the evidence cannot be trusted."""
        return self.comparison.alarms

    @property
    def newest_us(self) -> int:
        """When the newest unit was assigned; 0 before the first."""
        return self.comparison.newest_us

    @property
    def reason(self) -> str:
        """Which test speaks loudest for a rollback."""
        return self.comparison.reason

    def summary(self) -> dict[str, Any]:
        """The numbers that a verdict is reported with, and the predictions that they rest on."""
        users = {"users": len(self.subjects)} if self.subjects else {}
        return {**self.comparison.summary(), "window": asdict(self.window), **users}

    def share(self, unit: Mapping[str, Any], stamped: float, *, assigned: bool) -> float | None:
        """The probability of this unit's assignment given all before; None when it is none of its own.

        A request without a subject is a unit by itself, drawn afresh.
        """
        subject = unit.get("subject")
        if not subject:
            return stamped
        known = self.subjects.get(subject)
        if known is not None and known[2] == unit["rev"]:
            return None
        if known is None and len(self.subjects) >= _MOST_SUBJECTS:
            return None
        seen = Seen(known[0], known[1]) if known else Seen()
        after = seen.after(share=stamped, assigned=assigned)
        self.subjects[subject] = (after.low, after.high, unit["rev"])
        return unit_share(stamped, seen)

    def dump(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "champion": self.champion,
            "challenger": self.challenger,
            "levels": asdict(self.comparison.levels),
            "comparison": self.comparison.state(),
            "since_us": self.since_us,
            "cursor": self.cursor,
            "gateway_cursor": self.gateway_cursor,
            "window": asdict(self.window),
            "subjects": {name: list(known) for name, known in self.subjects.items()},
        }

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Self:
        """From `dump`."""
        comparison = Comparison.restored(Levels(**data["levels"]), data["comparison"])
        subjects = {name: (low, high, rev) for name, (low, high, rev) in data["subjects"].items()}
        return cls(
            data["champion"],
            data["challenger"],
            comparison,
            data["since_us"],
            data["cursor"],
            data["gateway_cursor"],
            Window(**data["window"]),
            subjects,
        )


@dataclass(frozen=True)
class Homeless:
    """The one version of a pair without ready endpoints, empty when it is not one, and the challenger's share.

    Of requests before `since_us` nobody knows any more who was ready.
    """

    version: str
    share: float
    since_us: int = 0


@dataclass(frozen=True)
class Increment:
    """What one reading brought: units, labels of the challenger in its step, and up to when all logs have spoken."""

    units: int
    labels: int
    waiting_for: tuple[str, ...]
    watermark_us: int


def read_increment(
    source: EvidenceSource,
    turnout: str,
    *,
    namespace: str,
    test: Test,
    window_us: int,
    step_us: int,
    tainted: Mapping[str, int],
    forced: bool,
    host: str = "",
    homeless: Homeless | None = None,
) -> Increment:
    """Feed everything that has matured since the last reading into `test`.

    Args:
        source: the ledger.
        turnout: name of the Turnout.
        namespace: its namespace.
        test: is changed.
        window_us: the label window.
        step_us: when the challenger's step began.
        tainted: revisions whose requests are no evidence, and since when.
        forced: whether testers may choose a version, so that requests without a stamp are to be expected.
        host: the endpoint's.
        homeless: whom requests to that host are charged to that found no ready endpoint.

    Raises:
        Unavailable: the ledger does not answer; the test is as it was after the last whole batch.
    """
    units, labels, waiting, watermarks = 0, 0, set[str](), list[int]()
    kinds: tuple[Kind, ...] = ("predictions", "gateway")
    for kind in kinds:
        while True:
            page = source.evidence(
                turnout,
                namespace=namespace,
                champion=test.champion,
                challenger=test.challenger,
                kind=kind,
                host=host if kind == "gateway" else "",
                cursor=test.cursor if kind == "predictions" else test.gateway_cursor,
                since_us=test.since_us,
                # Errors and durations need no labels: nothing is waited for.
                window_us=window_us if kind == "predictions" else 0,
                limit=_BATCH,
            )
            labels += feed(test, kind, page, tainted, step_us=step_us)
            units += len(page["units"])
            if kind == "predictions":
                test.cursor = page["cursor"]
                _count_unrecorded(test, page, forced=forced)
            else:
                test.gateway_cursor = page["cursor"]
                _charge(test, page.get("homeless", []), homeless)
            if not page["more"]:
                waiting.update(page["waiting_for"])
                watermarks.append(page["watermark_us"])
                break
    return Increment(units, labels, tuple(sorted(waiting)), min(watermarks))


def feed(test: Test, kind: Kind, page: Mapping[str, Any], tainted: Mapping[str, int], *, step_us: int = 0) -> int:
    """One page into the test; how many labels of the challenger it held since `step_us`."""
    labels = 0
    for unit in page["units"]:
        weights, rev = page["revs"][unit["rev"]], unit["rev"]
        mine, theirs = weights.get(test.challenger, 0), weights.get(test.champion, 0)
        # Where only one of them could be met there was nothing to compare, only a baseline of another time.
        if not mine or not theirs or unit["time_us"] >= tainted.get(rev, 1 << 62):
            continue
        assigned, stamped = unit["version"] == test.challenger, mine / (mine + theirs)
        if kind == "gateway":
            test.comparison.answer(
                error=bool(unit["error"]), duration_us=unit["duration_us"], assigned=assigned, share=stamped
            )
            continue
        share = test.share(unit, stamped, assigned=assigned)
        if share is None:
            continue
        test.comparison.assign(
            y=unit["y"], assigned=assigned, share=share, delay_us=unit.get("delay_us"), time_us=unit["time_us"]
        )
        test.window.reach(unit)
        labels += assigned and unit["y"] is not None and unit["time_us"] >= step_us
    return labels


def _charge(test: Test, requests: Sequence[Mapping[str, Any]], homeless: Homeless | None) -> None:
    """An error for the version without endpoints; where it could have been either, or neither, it is an alarm."""
    whose = homeless or Homeless("", 0.0)
    known = [request for request in requests if whose.version and request["time_us"] >= whose.since_us]
    test.comparison.unrecorded(recorded=0, unrecorded=len(requests) - len(known))
    assigned = whose.version == test.challenger
    for _ in known:
        test.comparison.answer(error=True, duration_us=0.0, assigned=assigned, share=whose.share)


def _count_unrecorded(test: Test, page: Mapping[str, Any], *, forced: bool) -> None:
    """Testers that choose a version have no stamp either, so only without them does a missing one say anything."""
    reasons = ("bad_stamp", "unknown_rev", "wrong_weight", *(() if forced else ("unstamped",)))
    dropped = page.get("dropped", {})
    test.comparison.unrecorded(recorded=len(page["units"]), unrecorded=sum(dropped.get(r, 0) for r in reasons))
