"""Logs as lines of JSON: predictions by their ids, never by their inputs."""

from __future__ import annotations

import logging
from collections.abc import Callable

import orjson
import pytest

from tests.predictor import models
from tests.predictor.processes import Predictor
from turnout.predictor import jsonlog

PREDICT = "/v1/models/digits:predict"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.e2e
def test_every_prediction_is_a_line_with_its_id_and_without_its_inputs(
    launch: Callable[..., Predictor], names: models.Artifact
) -> None:
    predictor = launch(names, "--access_log")
    row = [5.125, 3.5, 1.4, 0.2]
    headers = {"traceparent": PARENT, "x-request-id": "r-1"}
    good = predictor.send_json(PREDICT, {"instances": [row, row]}, headers)
    predictor.send_json(PREDICT, {"instances": ["5.125"]})
    predictor.stop()

    assert predictor.process.stdout is not None
    text = predictor.process.stdout.read()
    answered, refused = (orjson.loads(line) for line in text.splitlines())
    assert answered.pop("duration_us") > 0
    assert answered.pop("time").endswith("Z")
    assert answered == {
        "version": "digits-v4",
        "model": "digits",
        "protocol": "v1",
        "status": 200,
        "id": good.headers["x-turnout-id"],
        "request_id": "r-1",
        "rows": 2,
        "traceparent": PARENT,
    }
    assert (refused["status"], refused["id"], refused["rows"]) == (400, None, 0)
    assert "5.125" not in text
    assert "setosa" not in text


@pytest.mark.e2e
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_messages_are_written_as_told(launch: Callable[..., Predictor], iris: models.Artifact, log_format: str) -> None:
    predictor = launch(iris, f"--log_format={log_format}")

    line = predictor.stderr.splitlines()[0]

    message = "no --log_dir: predictions are not recorded"
    if log_format == "json":
        assert orjson.loads(line)["message"] == message
        assert orjson.loads(line)["level"] == "WARNING"
    else:
        assert line == f"turnout.predictor: {message}"


def test_an_exception_is_part_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    formatter = jsonlog._JsonFormatter()
    try:
        raise ValueError("broken\nin two")
    except ValueError as error:
        record = logging.LogRecord("a", logging.ERROR, "", 0, "it %s", ("failed",), (ValueError, error, None))

    line = formatter.format(record)

    assert "\n" not in line
    assert orjson.loads(line)["message"] == "it failed"
    assert "broken" in orjson.loads(line)["exception"]
