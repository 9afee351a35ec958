"""The processes that are always there: ledger, controller, gateway, and MLflow's server when asked for."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import orjson

from turnout.embedded.gateway import envoy
from turnout.embedded.home import Home, Settings
from turnout.embedded.supervision import ports, records
from turnout.embedded.supervision.processes import Spec

__all__ = [
    "ACCESS_LOG_FLUSH_MS",
    "CONTROLLER",
    "ENVOY",
    "LEDGER",
    "MLFLOW",
    "environment_of_pods",
    "ledger_url",
    "specs",
]

ENVOY, LEDGER, CONTROLLER, MLFLOW = "envoy", "ledger", "controller", "mlflow"

ACCESS_LOG_FLUSH_MS = 200


def specs(home: Home, settings: Settings) -> list[Spec]:
    """The system processes that shall run, in the order in which they start."""
    found = [_ledger(home, settings), _envoy(home, settings), _controller(home)]
    if settings.mlflow:
        found.append(_mlflow(home, settings))
    return [spec for spec in found if spec.name not in settings.without]


def environment_of_pods(home: Home, settings: Settings) -> dict[str, str]:
    """What every predictor is told: where its prediction log goes."""
    if LEDGER in settings.without:
        return {}
    return {"TURNOUT_LEDGER_URL": ledger_url(settings), "TURNOUT_LEDGER_TOKEN_FILE": str(home.ledger_token)}


def ledger_url(settings: Settings) -> str:
    """Where the ledger answers without the gateway in between."""
    return f"http://{ports.LOOPBACK}:{settings.ledger_port}"


def _ledger(home: Home, settings: Settings) -> Spec:
    def command(port: int) -> tuple[str, ...]:
        return (
            *_python("turnout.ledger"),
            f"--host={ports.LOOPBACK}",
            f"--port={port}",
            f"--token-file={home.ledger_token}",
            f"--gateway-log={home.envoy / 'access.log'}",
            f"--gateway-flush-ms={ACCESS_LOG_FLUSH_MS}",
        )

    return Spec(
        name=LEDGER,
        role=LEDGER,
        command=command,
        folder=home.folder,
        # A database that the user has named wins: the ledger of a laptop may be on PostgreSQL, too.
        environment={"TURNOUT_LEDGER_DATABASE": f"sqlite:///{home.ledger_database}", **_environment(home)},
        port=settings.ledger_port,
    )


def _controller(home: Home) -> Spec:
    token = {"TURNOUT_LEDGER_TOKEN_FILE": str(home.ledger_token)}
    return Spec(
        name=CONTROLLER,
        role=CONTROLLER,
        command=lambda port: _python("turnout.controller"),
        folder=home.folder,
        environment=_environment(home) | token,
        needs_port=False,
    )


def _envoy(home: Home, settings: Settings) -> Spec:
    bootstrap = home.envoy / "bootstrap.yaml"
    content = orjson.dumps(envoy.bootstrap(port=settings.gateway_port, folder=home.envoy), option=orjson.OPT_INDENT_2)
    if not bootstrap.exists() or bootstrap.read_bytes() != content:
        records.write_aside(bootstrap, content)  # JSON is YAML

    def command(port: int) -> tuple[str, ...]:
        return (
            str(_executable("envoy")),
            *("-c", str(bootstrap), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"),
            *("--file-flush-interval-msec", str(ACCESS_LOG_FLUSH_MS)),
            *("--drain-time-s", "1", "--drain-strategy", "immediate"),
        )

    return Spec(
        name=ENVOY,
        role=ENVOY,
        command=command,
        folder=home.envoy,  # its admin socket is relative to it
        environment=_environment(home),
        port=settings.gateway_port,
    )


def _mlflow(home: Home, settings: Settings) -> Spec:
    host = f"mlflow.{settings.domain}"

    def command(port: int) -> tuple[str, ...]:
        return (
            *_python("mlflow"),
            "server",
            f"--backend-store-uri={home.mlflow_uri}",
            f"--artifacts-destination={home.artifacts.as_uri()}",
            *("--host", ports.LOOPBACK, "--port", str(port), "--workers", "1"),
            f"--allowed-hosts={host},{host}:{settings.gateway_port},{ports.LOOPBACK}:{port}",
            f"--cors-allowed-origins=http://{host}:{settings.gateway_port}",
        )

    return Spec(
        name=MLFLOW,
        role=MLFLOW,
        command=command,
        folder=home.folder,
        environment=_environment(home),
        port=settings.mlflow_port,
    )


def _python(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module)


def _environment(home: Home) -> dict[str, str]:
    return {**os.environ, "TURNOUT_HOME": str(home.folder), "KUBECONFIG": str(home.kubeconfig)}


def _executable(name: str) -> Path:
    """A program of our own environment, or of the search path."""
    beside = Path(sys.executable).parent / name
    return beside if beside.exists() else Path(shutil.which(name) or name)
