"""Records whose inputs come as base64 of their bytes: who asks the ledger gets numbers all the same."""

from __future__ import annotations

import base64
import struct
from typing import Any

import httpx
import pytest

from tests.ledger.building import NOON, batch, record, send
from turnout.ledger.client import LedgerClient


def packed(datatype: str, code: str, *numbers: float, **fields: Any) -> dict[str, Any]:
    raw = struct.pack(f"<{len(numbers)}{code}", *numbers)
    tensor = {"name": "x", "datatype": datatype, "shape": [1, len(numbers)], "base64": base64.b64encode(raw).decode()}
    return tensor | fields


@pytest.mark.parametrize(
    ("datatype", "code", "numbers"),
    [
        ("FP32", "f", [0.1, -2.5, 16.0]),
        ("FP64", "d", [0.1, 1e300]),
        ("FP16", "e", [0.5, 65504.0]),
        ("INT8", "b", [-1, 2]),
        ("UINT16", "H", [65535]),
        ("INT64", "q", [-(2**63), 2**63 - 1]),
        ("UINT64", "Q", [2**64 - 1]),
    ],
)
def test_packed_numbers_are_given_out_as_numbers(
    ledger: LedgerClient, datatype: str, code: str, numbers: list[float]
) -> None:
    send(ledger, record(name="a", inputs=[packed(datatype, code, *numbers)]))
    wanted = [{"name": "x", "datatype": datatype, "shape": [1, len(numbers)], "data": numbers}]
    assert ledger.prediction("a")["inputs"] == wanted
    assert ledger.predictions()["predictions"][0]["inputs"] == wanted


def test_what_is_no_number_becomes_null(ledger: LedgerClient) -> None:
    send(ledger, record(name="a", inputs=[packed("FP32", "f", float("nan"), 1.0)]))
    assert ledger.prediction("a")["inputs"][0]["data"] == [None, 1.0]


def test_both_forms_may_meet_in_one_batch_and_be_labelled(ledger: LedgerClient) -> None:
    send(ledger, record(name="a", inputs=[packed("FP32", "f", 1.5)]), record(name="b", time_us=NOON + 1))
    assert [ledger.feedback(name, label=7)["outcome"] for name in ("a", "b")] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (packed("BYTES", "b", 1), "base64: wanted numbers, found 'BYTES'"),
        (packed("FP32", "f", 1.0, shape=[1, 2]), "base64: wanted 8 bytes, found 4"),
        (packed("FP32", "f", 1.0, shape=[-1]), "base64: wanted a shape of whole numbers"),
        (packed("FP32", "f", 1.0, data=[1.0]), "and no data besides"),
        (packed("FP32", "f", 1.0, base64="?"), "base64: this is no base64"),
        (packed("FP32", "f", 1.0, base64=7), "base64: this is no base64"),
        (packed("FP32", "f", 1.0, shape="1"), "shape: wanted a list"),
    ],
)
def test_a_packed_tensor_that_is_none_is_rejected_alone(
    http: httpx.Client, tensor: dict[str, Any], reason: str
) -> None:
    answer = http.post("/v1/events", json=batch([record(inputs=[tensor]), record()])).json()
    assert answer["accepted"] == 1
    assert reason in answer["rejected"][0]["reason"]


def test_outputs_are_never_packed_because_labels_are_compared_with_them(http: httpx.Client) -> None:
    answer = http.post("/v1/events", json=batch([record(outputs=[packed("INT64", "q", 7)])])).json()
    assert answer["rejected"][0]["reason"] == "outputs[0].data: wanted a list"
