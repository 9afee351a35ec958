from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.ledger.building import NOON
from turnout.errors import Conflict, InputError
from turnout.ledger.client import LedgerClient

PATH = "/v1/turnouts/digits/state"


def entry(action: str = "step", **data: Any) -> dict[str, Any]:
    return {"action": action, "actor": "controller", "data": data}


def test_before_the_first_write_there_is_no_state(ledger: LedgerClient) -> None:
    assert ledger.state("digits") == {"generation": 0, "state": None}


def test_state_and_audit_are_written_together(ledger: LedgerClient) -> None:
    written = ledger.put_state("digits", if_generation=0, state={"step": 1}, audit=[entry("adopt"), entry("step", n=3)])
    assert written["generation"] == 1
    assert [(row["seq"], row["action"], row["data"]) for row in written["audit"]] == [
        (1, "adopt", {}),
        (2, "step", {"n": 3}),
    ]
    assert written["audit"][0]["time_us"] == NOON
    assert ledger.state("digits") == {"generation": 1, "state": {"step": 1}}
    assert ledger.audit()["rows"] == written["audit"]


def test_a_writer_that_read_an_older_generation_changes_nothing(ledger: LedgerClient) -> None:
    ledger.put_state("digits", if_generation=0, state={"by": "first"})
    with pytest.raises(Conflict, match="Turnout default/digits has generation 1, not 0"):
        ledger.put_state("digits", if_generation=0, state={"by": "second"}, audit=[entry()])
    assert ledger.state("digits")["state"] == {"by": "first"}
    assert ledger.audit()["rows"] == []


def test_a_refused_audit_row_takes_the_state_with_it(ledger: LedgerClient) -> None:
    weights = {"rev": "r1", "weights": {"digits-v1": 100}}
    ledger.put_state("digits", if_generation=0, state={}, audit=[entry("weights", **weights)])
    other = entry("weights", **weights | {"weights": {"digits-v1": 90, "digits-v2": 10}})
    with pytest.raises(InputError, match="revision r1 has other weights already"):
        ledger.put_state("digits", if_generation=1, state={"new": True}, audit=[entry("step"), other])
    assert ledger.state("digits") == {"generation": 1, "state": {}}
    assert len(ledger.audit()["rows"]) == 1


def test_the_same_weights_may_be_written_again(ledger: LedgerClient) -> None:
    weights = entry("weights", rev="r1", weights={"digits-v1": 100})
    ledger.put_state("digits", if_generation=0, state={}, audit=[weights])
    assert ledger.put_state("digits", if_generation=1, state={}, audit=[weights])["generation"] == 2


def test_turnouts_of_two_namespaces_have_states_of_their_own(ledger: LedgerClient) -> None:
    ledger.put_state("digits", if_generation=0, state={"in": "default"})
    ledger.put_state("digits", if_generation=0, state={"in": "prod"}, namespace="prod")
    assert ledger.state("digits", namespace="prod")["state"] == {"in": "prod"}


def test_of_many_writers_at_once_one_wins(ledger: LedgerClient) -> None:
    def write(number: int) -> int:
        try:
            ledger.put_state("digits", if_generation=0, state={"by": number}, audit=[entry("step", by=number)])
        except Conflict:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(16))) == 1
    (row,) = ledger.audit()["rows"]
    assert row["data"] == ledger.state("digits")["state"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ([], "the body must be a JSON object"),
        ({"state": {}}, "if_generation: wanted the generation that was read"),
        ({"if_generation": True, "state": {}}, "if_generation: wanted"),
        ({"if_generation": -1, "state": {}}, "if_generation: wanted"),
        ({"if_generation": 0}, "state: wanted an object"),
        ({"if_generation": 0, "state": {}, "audit": {}}, "audit: wanted a list"),
        ({"if_generation": 0, "state": {}, "audit": ["step"]}, "audit: wanted objects with action, data and actor"),
        ({"if_generation": 0, "state": {}, "audit": [{"actor": "c"}]}, "audit.action: wanted a name"),
        ({"if_generation": 0, "state": {}, "audit": [{"action": "step"}]}, "audit.actor: wanted a name"),
        ({"if_generation": 0, "state": {}, "audit": [entry() | {"data": 3}]}, "audit.data: wanted an object"),
        ({"if_generation": 0, "state": {}, "audit": [entry("weights")]}, "audit.data.rev: wanted the revision"),
        ({"if_generation": 0, "state": {}, "audit": [entry("weights", rev="r")]}, "audit.data.weights: wanted"),
        (
            {"if_generation": 0, "state": {}, "audit": [entry("weights", rev="r", weights={"a": 0.5})]},
            "audit.data.weights: wanted whole numbers by version",
        ),
        (
            {"if_generation": 0, "state": {}, "audit": [entry("weights", rev="r", weights={"a": 0})]},
            "audit.data.weights: wanted whole numbers by version, one of them above 0",
        ),
    ],
)
def test_a_wrong_change_is_refused(http: httpx.Client, body: Any, detail: str) -> None:
    reply = http.put(PATH, json=body)
    assert reply.status_code == 400
    assert reply.json()["detail"].startswith(detail)


def test_a_state_nested_too_deeply_is_refused(http: httpx.Client) -> None:
    nested = "[" * 400 + "]" * 400
    reply = http.put(PATH, content=f'{{"if_generation": 0, "state": {{"deep": {nested}}}}}')
    assert (reply.status_code, reply.json()["detail"]) == (400, "the body is nested too deeply to be stored")
