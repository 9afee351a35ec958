"""What the keeper of a ledger does: erase a subject, drop old months, pin what must stay, verify the audit."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson
from starlette.responses import Response

from turnout.errors import InputError, NotFound
from turnout.ledger import audit, dropping, erasures, retention
from turnout.ledger.api.calls import Call, as_json, parsed
from turnout.ledger.records import is_time

__all__ = ["delete_pin", "erase_subject", "list_pins", "put_pin", "retain", "verify_audit"]


async def erase_subject(call: Call) -> Response:
    """Erase all predictions of a subject, a slice per transaction, so that nobody waits long."""
    subject, erased, more = call.query["subject"], 0, True
    while more:
        now_us = call.store.clock_us()
        done = await call.write(partial(erasures.erase_subject, subject=subject, now_us=now_us))
        erased, more = erased + done["erased"], done["more"]
    return as_json({"erased": erased})


async def retain(call: Call) -> Response:
    """Drop the months before a time that nobody needs; with `dry_run` only say which."""
    body = parsed(await call.body())
    if not isinstance(body, dict) or not is_time(body.get("before_us")):
        raise InputError("before_us: wanted an integer, microseconds since 1970")
    if not isinstance(body.get("dry_run", False), bool):
        raise InputError("dry_run: wanted true or false")
    report: dict[str, Any] = await call.read(
        lambda connection: retention.plan(connection, before_us=min(body["before_us"], call.store.clock_us()))
    )
    for month in [] if body.get("dry_run", False) else report["drop"]:
        for step in dropping.steps(month, now_us=call.store.clock_us()):
            while await call.write(step):
                pass
    return as_json(report | {"dry_run": body.get("dry_run", False)})


async def put_pin(call: Call) -> Response:
    """Set or replace a pin."""
    pin = retention.parse_pin(call.path["name"], parsed(await call.body()))
    await call.write(lambda connection: retention.pin(connection, pin))
    return as_json(vars(pin))


async def list_pins(call: Call) -> Response:
    """All pins."""
    return as_json({"pins": await call.read(retention.pins)})


async def delete_pin(call: Call) -> Response:
    """Take a pin away."""
    if not await call.write(lambda connection: retention.unpin(connection, call.path["name"])):
        raise NotFound(f"there is no pin {call.path['name']}")
    return Response(status_code=204)


async def verify_audit(call: Call) -> Response:
    """Walk the whole chain; an edit is a result, not an error."""
    found = await call.read(audit.verify)
    return Response(
        orjson.dumps({"rows": found.rows, "problem": found.problem, "intact": found.problem is None}),
        media_type="application/json",
    )
