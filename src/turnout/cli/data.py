"""`turnout data`: the snapshots that versions learned from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnout.cli.output import out, print_json, print_table
from turnout.errors import InputError

__all__ = ["register"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
data_app = typer.Typer(no_args_is_help=True, help="The snapshots that versions learned from.")


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.add_typer(data_app, name="data")


@data_app.command()
def ls(json: Json = False) -> None:
    """List the kept snapshots, the latest first, with the versions that learned from each."""
    from turnout import times
    from turnout.lineage import connecting
    from turnout.steps import keeping, provenance

    url = connecting.artifacts_url()
    learners = provenance.learners(artifacts_url=url)
    rows = [
        {
            "snapshot": one.snapshot.id,
            "rows": one.snapshot.rows,
            "columns": len(one.snapshot.columns),
            "parts": len(one.parts),
            "kept": times.text(one.kept_us),
            "versions": list(learners.get(one.snapshot.id, ())),
        }
        for one in keeping.kept(artifacts_url=url)
    ]
    print_table(rows, ["snapshot", "rows", "columns", "parts", "kept", "versions"], as_json=json)


@data_app.command()
def show(snapshot: Annotated[str, typer.Argument(help="Id of a snapshot.")], json: Json = False) -> None:
    """Show a snapshot: columns, values, and the files that it was made of."""
    from dataclasses import asdict

    from turnout.lineage import connecting
    from turnout.steps import keeping, profiles

    url = connecting.artifacts_url()
    found = keeping.find(snapshot, artifacts_url=url)
    table = keeping.read(found, artifacts_url=url)
    facts = profiles.profile(table)["columns"]
    if json:
        print_json({**asdict(found.snapshot), "kept_us": found.kept_us, "profile": facts})
        return
    rows = [
        {
            "column": name,
            "kind": said["type"],
            "missing": said["missing"],
            "distinct": said["distinct"],
            "values": _values(said),
        }
        for name, said in facts.items()
    ]
    title = f"{found.snapshot.id}: {found.snapshot.rows} rows, {found.snapshot.quarantined} set aside"
    print_table(rows, ["column", "kind", "missing", "distinct", "values"], as_json=False, title=title)
    sources = [asdict(source) | {"sha256": source.sha256[:12]} for source in found.snapshot.sources]
    print_table(sources, ["name", "path", "rows", "quarantined", "sha256"], as_json=False)


@data_app.command()
def diff(
    before: Annotated[str, typer.Argument(help="Id of a snapshot.")],
    after: Annotated[str, typer.Argument(help="Id of another one.")],
    json: Json = False,
) -> None:
    """Say which rows, columns and distributions are otherwise."""
    from turnout.lineage import connecting
    from turnout.steps import differing, keeping

    url = connecting.artifacts_url()
    sides = [keeping.find(name, artifacts_url=url) for name in (before, after)]
    found = differing.compare(sides[0], sides[1], artifacts_url=url)
    if json:
        print_json(found.as_dict())
        return
    counts = {"added": found.added, "removed": found.removed, "changed": found.changed}
    rows = [
        {"rows": what, "how many": count, "first": "; ".join(found.examples[what])} for what, count in counts.items()
    ]
    print_table(rows, ["rows", "how many", "first"], as_json=False, title=f"{before} to {after}")
    if found.columns:
        columns = [{**column, "changed rows": column["changed"]} for column in found.as_dict()["columns"]]
        print_table(columns, ["column", "before", "after", "changed rows", "moved"], as_json=False)


@data_app.command()
def export(
    snapshot: Annotated[str, typer.Argument(help="Id of a snapshot.")],
    file: Annotated[Path, typer.Argument(help="Where to write: a .csv or .parquet file that is not there yet.")],
) -> None:
    """Write the rows of a snapshot to a file."""
    import pyarrow.csv
    import pyarrow.parquet

    from turnout.lineage import connecting
    from turnout.steps import keeping

    writers = {".csv": pyarrow.csv.write_csv, ".parquet": pyarrow.parquet.write_table}
    if file.suffix not in writers:
        raise InputError(f"{file}: a .csv or .parquet file was wanted")
    if file.exists():
        raise InputError(f"{file} exists already")
    url = connecting.artifacts_url()
    found = keeping.find(snapshot, artifacts_url=url)
    writers[file.suffix](keeping.read(found, artifacts_url=url), file)
    out.print(f"wrote {found.snapshot.rows} rows to {file}", soft_wrap=True)


@data_app.command()
def gc(
    older: Annotated[str, typer.Option(help="Only snapshots that were kept longer ago.")] = "7d",
    grace: Annotated[str, typer.Option(help="How long parts must be unused before they go.")] = "1h",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    json: Json = False,
) -> None:
    """Remove snapshots from which no version learned, and parts of rows that no snapshot has any more."""
    from turnout.kube.turnouts import parse_duration_us
    from turnout.lineage import connecting
    from turnout.steps import keeping, provenance

    try:
        older_us, grace_us = parse_duration_us(older), parse_duration_us(grace)
    except ValueError as error:
        raise InputError(str(error)) from error
    url = connecting.artifacts_url()
    in_use = frozenset(provenance.learners(artifacts_url=url))
    gone, parts = keeping.sweep(artifacts_url=url, in_use=in_use, older_us=older_us, grace_us=grace_us, is_dry=dry_run)
    if json:
        print_json({"snapshots": gone, "parts": parts, "removed": not dry_run})
        return
    said = "would go" if dry_run else "removed"
    out.print(f"{said}: {len(gone)} snapshots {', '.join(gone)} and {len(parts)} parts", soft_wrap=True)


def _values(said: dict[str, object]) -> str:
    """What a column holds, in a few words."""
    if "top" in said:
        top = said["top"]
        assert isinstance(top, list)
        return ", ".join(f"{one['value']} ({one['count']})" for one in top[:3])
    return (
        f"{said['min']:.6g} to {said['max']:.6g}"
        if "mean" in said
        else f"{said.get('min', '')} to {said.get('max', '')}"
    )
