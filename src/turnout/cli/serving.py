"""`turnout predict` and `feedback`: predictions and what became of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from turnout.cli.output import err, print_json
from turnout.errors import Failed, InputError, Unavailable

__all__ = ["register"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


_CHUNK_BYTES = 64 * 1024
_FATES = {200: "taken", 201: "taken", 202: "waiting for their predictions"}


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (predict, feedback):
        app.command()(command)


def predict(
    endpoint: Annotated[str, typer.Argument(help="Name of a Turnout, e.g. digits.")],
    rows: Annotated[str, typer.Argument(help='Rows as JSON, e.g. "[[0, 1.5, 3]]" or "[{\\"age\\": 3}]".')],
    namespace: Annotated[str, typer.Option(help="Namespace of the endpoint.")] = "default",
    version: Annotated[str | None, typer.Option(help="Ask this version, not whom the traffic split chooses.")] = None,
) -> None:
    """Ask an endpoint, through the gateway, for predictions."""
    import httpx

    from turnout.kube import client, discovery

    instances = _rows(rows)
    kube = client.connect()
    addresses = discovery.discover(kube)
    turnout = kube.get("Turnout", endpoint, namespace=namespace)
    host = str((turnout.get("status") or {}).get("url", "")).removeprefix("http://")
    headers = {"Host": host, **({"x-turnout-version": version} if version else {})}
    url = f"{addresses.gateway_url}/v1/models/{endpoint}:predict"
    try:
        reply = httpx.post(url, json={"instances": instances}, headers=headers, timeout=30)
    except httpx.TransportError as error:
        raise Unavailable(f"the gateway at {addresses.gateway_url} does not answer: {error}") from error
    if reply.status_code != httpx.codes.OK:
        raise Failed(f"{host} answered {reply.status_code}: {reply.text.strip() or 'nothing'}")
    print_json(
        {
            "predictions": reply.json()["predictions"],
            "version": reply.headers.get("x-turnout-version"),
            "id": reply.headers.get("x-turnout-id"),
        }
    )


def _rows(text: str) -> list[Any]:
    try:
        rows = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputError(f"rows: JSON was wanted: {error}") from error
    if not isinstance(rows, list):
        raise InputError(f"rows: a list of rows was wanted, found {type(rows).__name__}")
    return rows


def feedback(
    prediction: Annotated[str | None, typer.Argument(help="Id of a prediction (header x-turnout-id).")] = None,
    label: Annotated[str | None, typer.Option(help="The true label, as JSON; a bare word is a string.")] = None,
    score: Annotated[float | None, typer.Option(min=0, max=1, help="An outcome in [0, 1] instead of a label.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Rows instead, with id and label or score: .csv with a header, else one JSON object a line."),
    ] = None,
    correct: Annotated[bool, typer.Option("--correct", help="Replace a label that was given before.")] = False,
) -> None:
    """Tell the ledger what was true, of one prediction or of a file of them."""
    method = "PUT" if correct else "POST"
    if file is not None:
        if (prediction, label, score) != (None, None, None):
            raise InputError("--file stands alone: its rows name their predictions")
        return _feedback_of(file, method=method)
    if prediction is None:
        raise InputError("a prediction or --file was wanted")
    if (label is None) == (score is None):
        raise InputError("exactly one of --label and --score was wanted")
    given: dict[str, Any] = {"score": score} if score is not None else {"label": _label(str(label))}
    print_json(_ledger().feedback(prediction, method=method, **given))
    return None


def _feedback_of(file: Path, *, method: str) -> None:
    """Send a file; what was refused goes to standard error, row by row, the rest is counted."""
    counts: Counter[str] = Counter()
    try:
        with file.open("rb") as rows:
            kind = "text/csv" if file.suffix.lower() == ".csv" else "application/x-ndjson"
            content = iter(lambda: rows.read(_CHUNK_BYTES), b"")
            for one in _ledger().feedback_file(content, kind=kind, method=method):
                counts[_FATES.get(one["status"], "refused")] += 1
                if one["status"] not in _FATES:
                    err.print(f"row {one['row']} ({one['id']}): {one['detail']}", soft_wrap=True, markup=False)
    except OSError as error:
        raise InputError(f"--file {file}: {error.strerror}") from error
    typer.echo(", ".join(f"{count} {fate}" for fate, count in counts.items()) or "no rows")
    if counts["refused"]:
        raise Failed(f"{counts['refused']} of {counts.total()} rows were refused; the others are kept")


def _label(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _ledger() -> Any:
    from turnout.kube import client, discovery
    from turnout.ledger.client import LedgerClient

    addresses = discovery.discover(client.connect())
    return LedgerClient(addresses.ledger_url, addresses.ledger_token)
