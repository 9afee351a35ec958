"""What clients write themselves is no evidence: the gateway's stamp counts, and only under a revision of the audit."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from tests.replay.controllers import Controllers
from tests.replay.stage import ROW, Stage, constant

pytestmark = pytest.mark.e2e
Build = Callable[..., Stage]
_TIMES = 5


def _ask(stage: Stage, host: str, headers: dict[str, str]) -> set[str]:
    """Ids of the answers to some requests."""
    url = f"{stage.addresses.gateway_url}/v1/models/forged:predict"
    replies = [httpx.post(url, json={"instances": ROW}, headers={"Host": host, **headers}) for _ in range(_TIMES)]
    assert [reply.status_code for reply in replies] == [200] * _TIMES
    return {reply.headers["x-turnout-id"] for reply in replies}


def _units(stage: Stage, awaited: set[str]) -> tuple[set[str], dict[str, int]]:
    """All units of the two versions once the awaited ones are among them, and what was left out."""
    deadline = time.monotonic() + 60
    while True:
        page = stage.ledger.evidence(
            "forged", champion="forged-v1", challenger="forged-v2", kind="predictions", window_us=0, limit=5000
        )
        found = {unit["id"] for unit in page["units"]}
        if awaited <= found or time.monotonic() > deadline:
            return found, page["dropped"]
        time.sleep(0.1)


def test_a_stamp_that_a_client_made_up_is_replaced_stripped_or_refused(stage: Build, controllers: Controllers) -> None:
    controllers.start("a")
    forged = stage("forged", right=constant(0.9, 0.9), policy={"steps": [20], "stepTime": "1h"})
    forged.users.stop()
    forged.challenge()
    rev = forged.until(lambda s: bool(s.get("share")), "a first share")["rev"]
    forged.until(lambda _: forged.weights.get("forged-v2") == 20, "the route")
    true = f"forged-v2;p=0.2;rev={rev}"
    endpoint, own = f"forged.{forged.addresses.domain}", f"forged-v2-default.{forged.addresses.domain}"
    stripped = _ask(forged, endpoint, {"x-turnout-version": "forged-v2", "x-turnout-assigned": true})
    refused = _ask(forged, own, {"x-turnout-assigned": "forged-v2;p=0.2;rev=guessed"})
    replaced = _ask(forged, endpoint, {"x-turnout-assigned": "forged-v2;p=1;rev=guessed"})
    units, dropped = _units(forged, replaced)
    assert replaced <= units
    assert not (stripped | refused) & units
    assert dropped["unknown_rev"] == _TIMES
    assert dropped["unstamped"] >= _TIMES
