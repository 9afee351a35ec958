"""Versions side by side, from what was written down when each was registered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from turnout import times
from turnout.errors import InputError
from turnout.steps import provenance
from turnout.steps.provenance import Provenance

__all__ = ["Side", "compare", "table"]


@dataclass(frozen=True)
class Side:
    """One version: what it learned from, with which parameters, and what it is worth."""

    version: str
    data: Mapping[str, Any]
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def compare(versions: Sequence[str], *, artifacts_url: str) -> list[Side]:
    """The versions in the order given.

    Raises:
        InputError: a version is named twice.
        NotFound: no pipeline registered one of them.
    """
    twice = sorted({version for version in versions if versions.count(version) > 1})
    if twice:
        raise InputError(f"{twice[0]} is named twice; different versions were wanted")
    return [_side(provenance.read(version, artifacts_url=artifacts_url)) for version in versions]


def table(sides: Sequence[Side], *, everything: bool = False) -> list[dict[str, Any]]:
    """One row for each fact, one column for each version; what is the same in all is left out, but for metrics."""
    rows: list[dict[str, Any]] = []
    for block in ("data", "parameters", "metrics"):
        names = {name: None for side in sides for name in getattr(side, block)}
        for name in names:
            row = {side.version: getattr(side, block).get(name) for side in sides}
            if everything or block == "metrics" or len({str(value) for value in row.values()}) > 1 or len(sides) == 1:
                rows.append({"what": name, **row})
    return rows


def _side(origin: Provenance) -> Side:
    evaluated, snapshot = origin.steps["evaluate"], origin.snapshot
    return Side(
        version=origin.version,
        data={
            "snapshot": snapshot.id,
            "rows": snapshot.rows,
            "columns": len(snapshot.columns),
            "quarantined": snapshot.quarantined,
            "sources": ", ".join(sorted({source.path for source in snapshot.sources})),
            "registered": times.text(origin.registered_us),
            "run": origin.run,
            "commit": origin.commit,
            "lock": origin.environment.lock[:19],
            "artifact": origin.digest[:19],
        },
        parameters=dict(evaluated["parameters"]),
        metrics=dict(evaluated["metrics"]),
    )
