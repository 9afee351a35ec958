"""Thousands of broken requests: none gets a 5xx, none ends the process, and good ones are answered in between."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.predictor import models
from tests.predictor.processes import Predictor, Socket, post

pytestmark = pytest.mark.e2e

ROW = [5.1, 3.5, 1.4, 0.2]
TENSOR = {"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": ROW}
V1 = {"instances": [ROW]}
V2 = {"inputs": [TENSOR], "outputs": [{"name": "output-0"}], "id": "mine", "parameters": {"a": 1}}
GOOD = post("/v1/models/digits:predict", orjson.dumps(V1))
ODD: list[Any] = [None, True, -1, 2**63, 1e308, "", "FP32", "x" * 300, [], [[]], {}, [1, [2]], {"a": []}, "\x00"]
PATHS = ["/v1/models/digits:predict", "/v2/models/digits/infer", "/v2/models/digits/versions/digits-v4/infer"]
HEADERS = [
    {"inference-header-content-length": "5"},
    {"inference-header-content-length": "-1"},
    {"inference-header-content-length": "9" * 30},
    {"content-type": "application/cloudevents+json"},
    {"ce-specversion": "1.0"},
    {"content-encoding": "gzip"},
    {"traceparent": "00-x"},
    {"x-turnout-assigned": "\xff;;;"},
    {"transfer-encoding": "chunked"},
    {"upgrade": "h2c", "connection": "upgrade"},
    {"expect": "200-ok"},
    {},
]


def mangled(value: Any, dice: random.Random) -> Any:
    """A document with one part, somewhere, replaced, dropped or doubled."""
    if isinstance(value, dict) and value and dice.random() < 0.8:
        key = dice.choice(sorted(value))
        if dice.random() < 0.2:
            return {name: inner for name, inner in value.items() if name != key}
        return {**value, key: mangled(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.8:
        index = dice.randrange(len(value))
        if dice.random() < 0.2:
            return value + value[: index + 1]
        return [*value[:index], mangled(value[index], dice), *value[index + 1 :]]
    return dice.choice(ODD)


def scrambled(data: bytes, dice: random.Random) -> bytes:
    """Bytes with a few of them changed, dropped, repeated or cut off."""
    found = bytearray(data)
    for _ in range(dice.randrange(1, 5)):
        at = dice.randrange(len(found)) if found else 0
        kind = dice.randrange(5)
        if kind == 0 and found:
            found[at] = dice.randrange(256)
        elif kind == 1:
            del found[at : at + dice.randrange(1, 30)]
        elif kind == 2:
            found[at:at] = dice.choice([b"\r\n", b"\r\n\r\n", b"\0", b" ", b":", b"GET / HTTP/1.1\r\n", b"[" * 50])
        elif kind == 3:
            found[at:at] = found[: dice.randrange(40)]
        elif dice.random() < 0.2:
            del found[at:]
    return bytes(found)


def broken(dice: random.Random) -> bytes:
    """A request with something wrong: its document, its JSON, its headers, or any of its bytes."""
    document = mangled(dice.choice([V1, V2]), dice)
    body = orjson.dumps(document) if dice.random() < 0.97 else b"[" * 5000
    if dice.random() < 0.2:
        body = scrambled(body, dice)
    data = post(dice.choice(PATHS), body, headers=dice.choice(HEADERS) if dice.random() < 0.4 else None)
    return scrambled(data, dice) if dice.random() < 0.5 else data


def statuses(connection: Socket) -> list[int]:
    """Of all replies until the server hangs up."""
    found = []
    try:
        while True:
            found.append(connection.read().status)
    except (EOFError, ConnectionResetError):
        return found


def attack(predictor: Predictor, *, requests: int, seed: int) -> None:
    dice = random.Random(seed)
    with predictor.connect() as bystander:
        for number in range(requests):
            data = broken(dice)
            with predictor.connect() as connection:
                try:
                    connection.send(data)
                    connection.send_no_more()
                except (BrokenPipeError, ConnectionResetError, OSError):
                    continue
                found = statuses(connection)
            bad = [status for status in found if status >= 500 and status != 501]
            assert not bad, (seed, number, data)
            if number % 100 == 0:
                bystander.send(GOOD)
                assert bystander.read().json == {"predictions": [0]}
    assert predictor.process.poll() is None
    assert "Traceback" not in predictor.stderr
    assert "exception" not in predictor.stderr


@pytest.mark.parametrize("server", ["own", "asgi"])
def test_broken_requests_are_refused_and_hurt_nobody(
    launch: Callable[..., Predictor], iris: models.Artifact, server: str
) -> None:
    attack(launch(iris, f"--server={server}"), requests=500, seed=7)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_fifty_thousand_broken_requests_are_refused_and_hurt_nobody(
    launch: Callable[..., Predictor], iris: models.Artifact
) -> None:
    attack(launch(iris), requests=50_000, seed=11)
