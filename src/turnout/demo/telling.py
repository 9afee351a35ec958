"""The end of the story on a terminal: tables, one trace, and whether all is as it must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from turnout.kube.client import Kube
from turnout.ledger.client import LedgerClient
from turnout.lineage import tracing

__all__ = ["table", "trace", "verdict"]


def table(result: Mapping[str, Any], console: Console) -> None:
    """Versions and decisions."""
    versions = Table(title="\nVersions", title_justify="left", header_style="bold")
    for column in ("version", "snapshot", "candidate", "cv score", "test score", "build s", "requests", "live score"):
        versions.add_column(column, justify="left" if column in ("version", "snapshot", "candidate") else "right")
    for v in result["versions"]:
        versions.add_row(
            v["version"] or "(gate closed)",
            v["snapshot"],
            v["candidate"],
            _number(v["cv_score"]),
            _number(v["test_score"]),
            f"{v['seconds']:.1f}",
            str(v["requests"]),
            _number(v["live_score"]),
        )
    console.print(versions)
    decided = Table(title="Decisions of the controller", title_justify="left", header_style="bold")
    for column in ("version", "verdict", "labels", "effect", "interval", "alpha"):
        decided.add_column(column)
    for d in result["decisions"]:
        low, high = d["interval"] or (None, None)
        decided.add_row(
            d["version"],
            d["action"],
            str(d["n"]),
            _number(d["effect"], signed=True),
            f"[{_number(low, signed=True)}, {_number(high, signed=True)}]".replace("[", r"\["),
            _number(d["alpha"]),
        )
    console.print(decided)
    console.print("seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in result["seconds"].items()))


def trace(result: Mapping[str, Any], console: Console, *, endpoint: str, kube: Kube, ledger: LedgerClient) -> None:
    """One prediction of the champion, back to its data."""
    found = ledger.predictions(endpoint=endpoint, version=result["champion"], limit=1)["predictions"]
    if not found:
        return
    console.print(f"\n[bold]turnout trace {found[0]['id']}[/]")
    traced = tracing.trace(found[0]["id"], ledger=ledger, kube=kube)
    for row in traced.rows():
        console.print(f"  {row['what']:<12} {row['which']}  [dim]{row['detail']}[/]", soft_wrap=True)


def verdict(result: Mapping[str, Any], console: Console, *, expected: bool) -> bool:
    """Print what must hold and whether it does; returns whether all of it does."""
    requests, books = result["requests"], result["ledger"]
    ended = {d["version"]: d["action"] for d in result["decisions"]}
    checks = {
        f"{requests['failed']} of {requests['sent']} requests failed": requests["failed"] == 0,
        f"{books['missing']} answered requests are missing in the ledger": books["missing"] == 0,
        f"{books['duplicated']} are recorded twice": books["duplicated"] == 0,
    }
    if expected:
        _, second, third = (version["version"] for version in result["versions"])
        checks[f"{second} was promoted"] = ended.get(second) == "promote" and result["champion"] == second
        checks[f"{third} was rolled back"] = ended.get(third) == "rollback"
    console.print("")
    for sentence, holds in checks.items():
        console.print(f"  {'[green]yes[/]' if holds else '[bold red]NO[/] '}  {sentence}")
    for failure in result["failures"][:5]:
        console.print(f"       {failure}", markup=False)
    return all(checks.values())


def _number(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:+.3f}" if signed else f"{value:.3g}"
