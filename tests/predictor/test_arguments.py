"""Flags come from the command line, else from the environment that the engine gives."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from turnout.predictor import arguments

NEEDED = ["--model_dir=/models", "--model_name=digits-v4"]


def test_the_engines_environment_gives_defaults() -> None:
    environment = {
        "POD_NAME": "digits-v4-predictor-abcde",
        "POD_NAMESPACE": "shop",
        "TURNOUT_LEDGER_URL": "http://ledger",
        "TURNOUT_LEDGER_TOKEN_FILE": "/token",
        "TURNOUT_PREDICTION_LOG_DIR": "/log",
    }

    found = arguments.parse(NEEDED, environment)

    assert (found.pod, found.namespace, found.log_dir) == ("digits-v4-predictor-abcde", "shop", Path("/log"))
    assert (found.ledger_url, found.ledger_token_file) == ("http://ledger", "/token")


def test_flags_overrule_the_environment() -> None:
    found = arguments.parse([*NEEDED, "--namespace=other"], {"POD_NAMESPACE": "shop"})

    assert found.namespace == "other"


def test_without_an_environment_there_are_plain_defaults() -> None:
    found = arguments.parse(NEEDED, {})

    assert (found.http_host, found.http_port, found.namespace) == ("127.0.0.1", 8080, "default")
    assert (found.pod, found.log_dir, found.endpoint) == (socket.gethostname(), None, "digits-v4")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "required: --model_dir, --model_name"),
        ([*NEEDED, "--http_port=70000"], "wanted a port from 0 to 65535, found 70000"),
        ([*NEEDED, "--endpoint=a/b"], "wanted letters, digits, '.', '_' and '-', found 'a/b'"),
        ([*NEEDED, "--model_name=a\r\nb"], "wanted letters, digits"),
        ([*NEEDED, "--worker=2"], "unrecognized arguments: --worker=2"),
    ],
)
def test_wrong_use_ends_with_code_2(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        arguments.parse(flags, {})

    assert caught.value.code == 2
    assert message in capsys.readouterr().err
