"""Which versions answered at a time, in words and rows; the ledger's audit knows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

from turnout import times
from turnout.lineage.tracing import sentence

__all__ = ["rows"]


def rows(answer: Mapping[str, Any], *, at: tzinfo) -> list[dict[str, Any]]:
    """The ledger's answer as one row per version that had a share, times in this zone."""
    return [
        {
            "namespace": live["namespace"],
            "endpoint": live["endpoint"],
            "version": version,
            "share": f"{weight / sum(live['weights'].values()):.0%}",
            "role": "champion" if version == live["champion"] else "",
            "weight": weight,
            "since": times.text(live["since_us"], at=at),
            "until": times.text(live["until_us"], at=at) if live["until_us"] is not None else "still so",
            "rev": live["rev"],
            "audit_row": live["seq"],
            "decision": sentence(live["decision"]) if live["decision"] else "",
        }
        for live in answer["endpoints"]
        for version, weight in sorted(live["weights"].items(), key=lambda item: -item[1])
        if weight
    ]
