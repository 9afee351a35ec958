"""The picture of the benchmark: who is in it."""

from __future__ import annotations

from pathlib import Path

from bench.rows import measured
from bench.serving import chart

_MEASURED = [
    measured("turnout, V1, 8 connections", [29_000, 30_000], "requests/s"),
    measured("turnout, ASGI, V1, 8 connections", [15_000], "requests/s"),
    measured("turnout, no batching, V1, 8 connections", [16_000], "requests/s"),
    measured("turnout, V1, 64 connections", [45_000], "requests/s"),
    measured("hello, V1, 8 connections", [80_000], "requests/s"),
    measured("kserve + ONNX, V1, 8 connections", [2_200], "requests/s"),
    measured("turnout, random forest, 8 connections", [27_000], "requests/s"),
    measured("FastAPI, random forest, 8 connections", [85], "requests/s"),
    measured("turnout, logistic regression, 8 connections", [28_000], "requests/s"),
]


def test_every_server_is_shown_once_with_its_longer_measurement() -> None:
    shown = {name: row.value for name, row in chart.compared(_MEASURED).items()}
    assert list(shown.items()) == [
        ("FastAPI", 85),
        ("kserve + ONNX", 2_200),
        ("turnout, ASGI", 15_000),
        ("turnout", 29_500),
    ]


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    chart.draw(_MEASURED, tmp_path / "serving.svg")
    assert (tmp_path / "serving.svg").read_text().count("<!-- turnout -->") == 1
