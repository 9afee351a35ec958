"""`turnout promote`, `rollback`, `hold`, `resume`, `retry`, `report`: what people say to a rollout, and read of it."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated, Any

import typer

from turnout.cli.output import out, print_json
from turnout.errors import Conflict, Failed, InputError

__all__ = ["register"]

Endpoint = Annotated[str, typer.Argument(help="Name of a Turnout, e.g. digits.")]
Version = Annotated[str, typer.Argument(help="A version; needed when several are under test.")]
By = Annotated[str | None, typer.Option(help="Who orders this; the login name when not given.")]
Reason = Annotated[str, typer.Option(help="Why; it stays in the audit.")]
Namespace = Annotated[str, typer.Option(help="Namespace of the endpoint.")]
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for the controller's answer.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_PATIENCE_S = 20.0


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (promote, rollback, hold, resume, retry, report):
        app.command()(command)


def promote(
    endpoint: Endpoint,
    version: Version = "",
    by: By = None,
    reason: Reason = "",
    namespace: Namespace = "default",
    wait: Wait = _PATIENCE_S,
    json: Json = False,
) -> None:
    """Promote now: an approval where the evidence has earned it, else outside the guarantee. Ends a bake early."""
    _order("promote", endpoint, version, by=by, reason=reason, namespace=namespace, wait_s=wait, json=json)


def rollback(
    endpoint: Endpoint,
    version: Version = "",
    by: By = None,
    reason: Reason = "",
    namespace: Namespace = "default",
    wait: Wait = _PATIENCE_S,
    json: Json = False,
) -> None:
    """Take back what is under test or bakes; else return to the champion before, as long as it is kept warm."""
    _order("rollback", endpoint, version, by=by, reason=reason, namespace=namespace, wait_s=wait, json=json)


def hold(
    endpoint: Endpoint,
    by: By = None,
    reason: Reason = "",
    namespace: Namespace = "default",
    wait: Wait = _PATIENCE_S,
    json: Json = False,
) -> None:
    """Raise nobody's share until `turnout resume`. Guardrails and rollbacks go on."""
    _order("hold", endpoint, "", by=by, reason=reason, namespace=namespace, wait_s=wait, json=json)


def resume(
    endpoint: Endpoint,
    by: By = None,
    reason: Reason = "",
    namespace: Namespace = "default",
    wait: Wait = _PATIENCE_S,
    json: Json = False,
) -> None:
    """Go on after a hold, of a person or of the policy."""
    _order("resume", endpoint, "", by=by, reason=reason, namespace=namespace, wait_s=wait, json=json)


def retry(
    endpoint: Endpoint,
    version: Annotated[str, typer.Argument(help="A version that was judged before.")],
    by: By = None,
    reason: Reason = "",
    namespace: Namespace = "default",
    wait: Wait = _PATIENCE_S,
    json: Json = False,
) -> None:
    """Let a judged version challenge again. Its evidence goes on where it was, so a refuted one is refuted at once."""
    _order("retry", endpoint, version, by=by, reason=reason, namespace=namespace, wait_s=wait, json=json)


def report(
    endpoint: Endpoint,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write; {endpoint}.html.")] = None,
    namespace: Namespace = "default",
    json: Json = False,
) -> None:
    """Write an HTML page: shares, effect with its interval, label delay, errors, latency and every decision."""
    from turnout import report as reports
    from turnout.kube import client, discovery
    from turnout.ledger.client import LedgerClient

    kube = client.connect()
    addresses = discovery.discover(kube)
    turnout = kube.get("Turnout", endpoint, namespace=namespace)
    with LedgerClient(addresses.ledger_url, addresses.ledger_token) as ledger:
        found = reports.gather(turnout, ledger)
    if json:
        print_json(found.as_dict())
        return
    path = output or Path(f"{endpoint}.html")
    path.write_text(reports.page(found), encoding="utf-8")
    out.print(f"wrote {path}: {found.headline}", soft_wrap=True)


def _order(
    verb: str, endpoint: str, version: str, *, by: str | None, reason: str, namespace: str, wait_s: float, json: bool
) -> None:
    from pydantic import ValidationError

    from turnout.kube import client, orders

    try:
        order = orders.Order.model_validate(
            {"verb": verb, "version": version, "by": by or getpass.getuser(), "reason": reason, "id": orders.new_id()}
        )
    except ValidationError as error:
        raise InputError("; ".join(e["msg"].removeprefix("Value error, ") for e in error.errors())) from error
    kube = client.connect()
    metadata = kube.get("Turnout", endpoint, namespace=namespace)["metadata"]
    if orders.ANNOTATION in (metadata.get("annotations") or {}):
        raise Conflict(f"Turnout {endpoint} carries an order that was not taken yet; `kubectl describe to/{endpoint}`")
    body = {
        "metadata": {
            "resourceVersion": metadata["resourceVersion"],
            "annotations": {orders.ANNOTATION: order.dump()},
        }
    }
    kube.patch("Turnout", endpoint, namespace=namespace, body=body)
    told = _answer(kube, endpoint, namespace=namespace, order_id=order.id, wait_s=wait_s)
    if json:
        print_json(told)
    elif told["result"] == "done":
        out.print(told["message"], soft_wrap=True, markup=False)
    if told["result"] == "refused":
        raise Failed(told["message"])


def _answer(kube: Any, endpoint: str, *, namespace: str, order_id: str, wait_s: float) -> dict[str, Any]:
    def answered(obj: dict[str, Any]) -> bool:
        last = (obj.get("status") or {}).get("lastOrder") or {}
        return bool(last.get("id") == order_id)

    obj = kube.wait_until(
        "Turnout", endpoint, namespace=namespace, holds=answered, what="the controller's answer", timeout_s=wait_s
    )
    return dict(obj["status"]["lastOrder"])
