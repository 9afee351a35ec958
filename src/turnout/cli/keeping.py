"""`turnout ledger ...`: what the keeper of a ledger does: watch it, erase, drop old months, pin, give tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from turnout.cli.output import err, out, print_json, print_table
from turnout.errors import InputError

__all__ = ["register"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ledger_app = typer.Typer(no_args_is_help=True, help="Watch the ledger, erase, drop old months, give tokens.")


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (watch, erase, retain, pins, pin, unpin, token):
        ledger_app.command()(command)
    app.add_typer(ledger_app, name="ledger")


def watch(
    endpoint: Annotated[str | None, typer.Argument(help="Only this endpoint.")] = None,
    namespace: Annotated[str, typer.Option(help="Namespace of the endpoints.")] = "default",
    json: Annotated[bool, typer.Option("--json", help="Print a JSON document a line.")] = False,
) -> None:
    """Show predictions, feedback and decisions as they come, until Ctrl-C."""
    from turnout.lineage import telling

    for kind, head in _ledger().watch(namespace=namespace, endpoint=endpoint):
        if json:
            typer.echo(orjson.dumps({"event": kind} | head).decode())
        else:
            out.print(telling.line(kind, head), soft_wrap=True, markup=False)


def erase(
    prediction: Annotated[str | None, typer.Argument(help="Id of a prediction (header x-turnout-id).")] = None,
    subject: Annotated[
        str | None,
        typer.Option(help="Erase all of this subject: the value of the sticky header, or as records have it."),
    ] = None,
) -> None:
    """Erase content and keys of a prediction, or of all of a subject; the anonymous tuple stays."""
    if (prediction is None) == (subject is None):
        raise InputError("exactly one of a prediction and --subject was wanted")
    if subject is not None:
        out.print(f"erased {_ledger().erase_subject(subject)} predictions; what is on its way will arrive erased")
    elif _ledger().erase(str(prediction)):
        out.print(f"erased {prediction}", soft_wrap=True)
    else:
        out.print(f"{prediction} is not in the ledger; should it still come, it will arrive erased", soft_wrap=True)


def retain(
    before: Annotated[str, typer.Option(help="Drop whole months before this one, e.g. 2026-06.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go and what stays, and why.")] = False,
    json: Json = False,
) -> None:
    """Drop old months; what an open rollout or a pin needs stays."""
    from turnout import times

    report = _ledger().retain(before_us=times.parse_us(f"{before}-01T00:00Z"), dry_run=dry_run)
    if json:
        print_json(report)
        return
    fate = "would go" if dry_run else "dropped"
    rows = [{"what": month, "fate": fate, "why": "older than wanted"} for month in report["drop"]]
    rows += [{"what": one["month"], "fate": "kept", "why": "; ".join(one["reasons"])} for one in report["keep"]]
    rows += [{"what": what, "fate": "kept always", "why": why} for what, why in report["always"].items()]
    print_table(rows, ["what", "fate", "why"], as_json=False)


def pins(json: Json = False) -> None:
    """List what retention leaves alone, and why."""
    from turnout import times

    found = _ledger().pins()
    rows = [one | {"since": times.text(one["since_us"]), "until": times.text(one["until_us"])} for one in found]
    print_table(rows, ["name", "namespace", "endpoint", "version", "since", "until", "reason"], as_json=json)


def pin(
    name: Annotated[str, typer.Argument(help="Name of the pin; one of the same name is replaced.")],
    endpoint: Annotated[str, typer.Option(help="Which endpoint it is about.")],
    since: Annotated[str, typer.Option(help="From when on, e.g. 2026-06-01T00:00Z.")],
    until: Annotated[str, typer.Option(help="Until when, e.g. 2026-07-01T00:00Z.")],
    reason: Annotated[str, typer.Option(help="Why; retention repeats it.")],
    version: Annotated[str | None, typer.Option(help="Only as long as this version gets requests.")] = None,
    namespace: Annotated[str, typer.Option(help="Namespace of the endpoint.")] = "default",
) -> None:
    """Keep the months of a time from retention."""
    from turnout import times

    since_us, until_us = times.parse_us(since), times.parse_us(until)
    if since_us >= until_us:
        raise InputError(f"--since {since} --until {until}: a beginning before the end was wanted")
    place: dict[str, Any] = {"endpoint": endpoint, "namespace": namespace, "version": version}
    _ledger().pin(name, **place, since_us=since_us, until_us=until_us, reason=reason)
    out.print(f"pinned {name}", soft_wrap=True)


def unpin(name: Annotated[str, typer.Argument(help="Name of the pin.")]) -> None:
    """Take a pin away."""
    _ledger().unpin(name)
    out.print(f"took away {name}", soft_wrap=True)


def token(
    name: Annotated[str, typer.Argument(help="Whose it is: one word.")],
    roles: Annotated[str, typer.Option(help="What it may do: some of events, feedback, read, erase, control.")],
    file: Annotated[
        Path | None, typer.Option(help="The server's file of tokens, to which the new one's line is added.")
    ] = None,
) -> None:
    """Make a token: it is printed once, the file keeps only its digest."""
    import secrets

    from turnout.ledger.roles import line

    made = secrets.token_urlsafe(32)
    written = line(name, roles.split(","), made)
    if file is None:
        err.print(f"the line for the server's file of tokens: {written}", soft_wrap=True, markup=False)
    else:
        try:
            with file.open("a", encoding="utf-8") as tokens:
                tokens.write(f"{written}\n")
        except OSError as error:
            raise InputError(f"--file {file}: cannot be written: {error.strerror}") from error
    typer.echo(made)


def _ledger() -> Any:
    from turnout.lineage.connecting import open_books

    return open_books().ledger
