"""`turnout trace`, `live`, `reproduce` and `audit`: where a prediction came from, who answered when, and is it so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from turnout.cli.output import out, print_json, print_table, show_progress
from turnout.errors import Failed, InputError

__all__ = ["register"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
audit_app = typer.Typer(invoke_without_command=True, help="The chain of decisions.")


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (trace, live, reproduce):
        app.command()(command)
    app.add_typer(audit_app, name="audit")


def trace(
    prediction: Annotated[str, typer.Argument(help="Id of a prediction (header x-turnout-id).")],
    json: Json = False,
    openlineage: Annotated[
        bool, typer.Option("--openlineage", help="Print OpenLineage events, one JSON document a line.")
    ] = False,
    svg: Annotated[Path | None, typer.Option("--svg", help="Write a picture to this file.")] = None,
) -> None:
    """Follow a prediction back: version, run, snapshot, sources and commit, and the decisions that put it there."""
    from turnout.kube import client
    from turnout.lineage import openlineage as standard
    from turnout.lineage import picture, tracing

    if json and openlineage:
        raise InputError("one of --json and --openlineage was wanted, found both")
    found = tracing.trace(prediction, ledger=_ledger(), kube=client.connect())
    if svg is not None:
        _write(svg, picture.draw(found))
    if json:
        print_json(found.as_dict())
    elif openlineage:
        import orjson

        for event in standard.events(found):
            typer.echo(orjson.dumps(event).decode())
    elif svg is None:
        print_table(found.rows(), ["what", "which", "detail"], as_json=False)
    else:
        out.print(f"wrote {svg}", soft_wrap=True)


def live(
    endpoint: Annotated[str | None, typer.Argument(help="Name of a Turnout; without it all of them.")] = None,
    at: Annotated[
        str | None, typer.Option(help="When, e.g. 2026-11-20T14:00 or 2026-11-20T14:00+01:00; default: now.")
    ] = None,
    timezone: Annotated[
        str, typer.Option(help="Zone of a time without offset, and of the times that are printed.")
    ] = "UTC",
    namespace: Annotated[str | None, typer.Option(help="Only endpoints of this namespace.")] = None,
    json: Json = False,
) -> None:
    """Say which versions answered with which weights at a time, from the audit."""
    from turnout import times
    from turnout.lineage import history

    zone = times.zone(timezone)
    at_us = None if at is None else times.parse_us(at, default=zone)
    answer = _ledger().live(at_us=at_us, namespace=namespace, endpoint=endpoint)
    moment = times.text(answer["at_us"], at=zone)
    rows = history.rows(answer, at=zone)
    if json:
        print_json({"at": moment, "at_us": answer["at_us"], "live": rows})
        return
    if answer["at_us"] > answer["now_us"]:
        out.print(f"{moment} has not come yet; this is what holds now", soft_wrap=True)
    if not rows:
        out.print(f"no version of {endpoint or 'any endpoint'} was live at {moment}", soft_wrap=True)
        return
    columns = ["endpoint", "version", "share", "role", "since", "until", "rev", "decision"]
    print_table(rows, columns, as_json=False, title=f"live at {moment}")


def reproduce(
    version: Annotated[str, typer.Argument(help="A registered version, e.g. digits-v4.")],
    keep: Annotated[Path | None, typer.Option("--keep", help="Make it in this new folder and leave it there.")] = None,
    json: Json = False,
) -> None:
    """Make a version again from its snapshot, spec and seeds, and compare: exit code 1 when it is another model."""
    from tempfile import TemporaryDirectory

    from turnout.lineage import connecting, reproducing

    if keep is not None and keep.exists():
        raise InputError(f"{keep} exists already; a folder that is not there yet was wanted")
    with TemporaryDirectory(prefix="turnout-reproduce-") as scratch:
        found = reproducing.reproduce(
            version,
            artifacts_url=connecting.artifacts_url(),
            home=keep.absolute() if keep else Path(scratch),
            progress=None if json else show_progress,
        )
    if json:
        print_json(found.as_dict())
    else:
        _show(found)
    if not found.is_same:
        first = found.first_difference
        where = f"the first difference is in {first.step}: its {first.what}" if first else "only its answers differ"
        raise Failed(f"{version} could not be reproduced; {where}")


def _show(found: Any) -> None:
    rows = [
        {**one, "then": _short(one["then"]), "now": _short(one["now"]), "same": "yes" if one["same"] else "NO"}
        for one in found.as_dict()["steps"]
    ]
    print_table(rows, ["step", "what", "then", "now", "same"], as_json=False)
    out.print(
        f"{found.different} of {found.rows} test rows have another answer, "
        f"the largest difference of a number is {found.largest_difference:.3g}",
        soft_wrap=True,
    )
    for note in found.notes:
        out.print(f"otherwise here: {note}", soft_wrap=True)
    if found.is_same:
        out.print(f"{found.version} is reproduced, byte for byte: {found.digest}", soft_wrap=True)


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"


@audit_app.callback()
def audit(
    context: typer.Context,
    endpoint: Annotated[str | None, typer.Option(help="Only decisions about this endpoint.")] = None,
    namespace: Annotated[str | None, typer.Option(help="Only decisions in this namespace.")] = None,
    action: Annotated[str | None, typer.Option(help="Only decisions of this kind, e.g. promote.")] = None,
    last: Annotated[int, typer.Option(min=1, help="How many, the latest.")] = 20,
    json: Json = False,
) -> None:
    """Show decisions; `turnout audit verify` checks that nobody edited them."""
    from turnout import times
    from turnout.lineage import auditing, tracing

    if context.invoked_subcommand is not None:
        return
    rows = auditing.latest(_ledger(), count=last, namespace=namespace, turnout=endpoint, action=action)
    if json:
        print_json(rows)
        return
    shown = [
        {**row, "time": times.text(row["time_us"]), "endpoint": row["turnout"], "what": tracing.sentence(row)}
        for row in rows
    ]
    print_table(shown, ["seq", "time", "endpoint", "actor", "action", "what"], as_json=False)


@audit_app.command()
def verify(json: Json = False) -> None:
    """Walk the whole chain: every row as it was written, none missing, none moved. Exit code 1 where it breaks."""
    from turnout.lineage import auditing

    found = auditing.verify(_ledger())
    if json:
        print_json(found.as_dict())
    if found.problem is not None:
        raise Failed(f"the audit is not what was written: {found.problem} ({found.rows} rows before it are)")
    if not json:
        out.print(f"{found.rows} rows, each as it was written; the last digest is {found.head}", soft_wrap=True)


def _write(file: Path, content: str) -> None:
    try:
        file.write_text(content, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror}") from error


def _ledger() -> Any:
    from turnout.lineage.connecting import open_books

    return open_books().ledger
