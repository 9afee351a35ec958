"""The books: what clients saw against what the ledger holds, and the result as data."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from turnout import runs
from turnout.demo.traffic import Tally
from turnout.ledger.client import LedgerClient

__all__ = ["books", "decisions", "result", "write"]

_VERDICTS = {"promote": "promote", "rollback": "rollback", "revert": "rollback", "hold": "hold", "expire": "rollback"}
_SHIPPED_WITHIN_S = 15.0


def decisions(ledger: LedgerClient, endpoint: str) -> list[dict[str, Any]]:
    """Every row of the endpoint's audit, oldest first."""
    rows: list[dict[str, Any]] = []
    while page := ledger.audit(turnout=endpoint, after_seq=rows[-1]["seq"] if rows else 0)["rows"]:
        rows += page
    return rows


def books(ledger: LedgerClient, endpoint: str, tally: Tally) -> dict[str, Any]:
    """Compare ids: waits until the predictors have shipped what they hold."""
    answered = set(tally.answered)
    deadline = time.monotonic() + _SHIPPED_WITHIN_S
    while True:
        found = _recorded(ledger, endpoint)
        if answered <= found.keys() or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return {
        "recorded": len(found),
        "missing": len(answered - found.keys()),
        "duplicated": sum(count - 1 for count in found.values()),
        "labelled": ledger.summary(endpoint)["labelled"],
    }


def _recorded(ledger: LedgerClient, endpoint: str) -> Counter[str]:
    found: Counter[str] = Counter()
    cursor: str | None = None
    while True:
        page = ledger.predictions(endpoint=endpoint, limit=1000, cursor=cursor)
        found.update(row["id"] for row in page["predictions"] if row["stamp"])
        cursor = page.get("cursor")
        if not cursor:
            return found


def result(
    *,
    records: Sequence[runs.RunRecord],
    audit: Sequence[Mapping[str, Any]],
    books: Mapping[str, Any],
    tally: Tally,
    status: Mapping[str, Any],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """What happened, as data."""
    per_version = Counter(tally.answered.values())
    return {
        "versions": [_version(record, per_version, tally) for record in records],
        "decisions": [_decision(row) for row in audit if row["action"] in _VERDICTS],
        "champion": status.get("champion"),
        "requests": {"sent": tally.sent, "answered": len(tally.answered), "failed": len(tally.failures)},
        "failures": tally.failures[:20],
        "ledger": dict(books),
        "seconds": dict(seconds),
    }


def _version(record: runs.RunRecord, per_version: Mapping[str, int], tally: Tally) -> dict[str, Any]:
    requests = per_version.get(record.version or "", 0)
    return {
        **record.facts(),
        "requests": requests,
        "live_score": tally.right[record.version] / requests if record.version and requests else None,
    }


def _decision(row: Mapping[str, Any]) -> dict[str, Any]:
    data = row["data"]
    evidence = data.get("evidence") or {}
    return {
        "version": data["version"],
        "verdict": _VERDICTS[row["action"]],
        "action": row["action"],
        "sentence": data["sentence"],
        "n": evidence.get("n"),
        "labelled": evidence.get("labelled"),
        "effect": evidence.get("effect"),
        "interval": evidence.get("interval"),
        "alpha": evidence.get("alpha"),
        "evidence": evidence.get("evidence"),
        "time_us": row["time_us"],
        "audit_seq": row["seq"],
    }


def write(path: Path, value: Mapping[str, Any]) -> None:
    """Written aside and renamed."""
    aside = path.with_suffix(".tmp")
    aside.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2))
    os.replace(aside, path)
