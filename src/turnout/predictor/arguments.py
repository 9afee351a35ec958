"""The predictor's flags, spelled as KServe's model servers spell theirs; the engine's environment gives defaults."""

from __future__ import annotations

import argparse
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from turnout import settings
from turnout.predictor.calls import MAX_ROWS
from turnout.predictor.events import Replies
from turnout.predictor.prediction_log import Bounds
from turnout.predictor.recording import DURABILITIES, Policy
from turnout.settings import Setting

__all__ = ["ENVIRONMENT", "Arguments", "parse", "read_environment"]

# What the engine (or a Pod's fieldRefs) puts into the environment of every predictor, beside turnout.settings.
ENVIRONMENT = (
    Setting("CE_MERGE", "false", "true: events that answer carry the attributes of those that asked."),
    Setting("CE_SOURCE", "", "Source of events that answer; without it io.kserve.inference.{model}."),
    Setting("CE_TYPE", "io.kserve.inference.response", "Type of events that answer."),
    Setting("POD_NAME", "", "Name of the Pod and so of its prediction log; without it the host name."),
    Setting("POD_NAMESPACE", "default", "Namespace of the InferenceService."),
    Setting("TURNOUT_PREDICTION_DURABILITY", "local", "When a reply may go: local or acked (docs/prediction-log.md)."),
    Setting("TURNOUT_PREDICTION_LOG_DIR", "", "Folder of this Pod's prediction log; without it nothing is recorded."),
)

_DEFAULTS = {setting.name: setting.default for setting in ENVIRONMENT}
# A name ends up in a header and in paths: nothing that could end a line or a path segment.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Arguments:
    """Everything that one predictor process is told."""

    http_host: str
    http_port: int
    model_dir: Path
    model_name: str
    endpoint: str
    digest: str
    namespace: str
    pod: str
    ledger_url: str
    ledger_token_file: str
    log_dir: Path | None
    policy: Policy
    grace_s: float
    request_timeout_s: float
    max_body_bytes: int
    max_connections: int
    max_rows: int
    workers: int
    server: str
    batching: bool
    grpc_port: int | None
    repository: Path | None
    access_log: bool
    log_format: str
    event_replies: Replies


def read_environment(name: str, environment: Mapping[str, str]) -> str:
    """One variable: from this module's table, else from the project's."""
    if name in _DEFAULTS:
        return environment.get(name) or _DEFAULTS[name]
    return settings.read(name, environment)


def parse(argv: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> Arguments:
    """The flags of `python -m turnout.predictor`; wrong use ends the process with code 2, as argparse does."""
    found = _parser(environment).parse_args(argv)
    return Arguments(
        http_host=found.http_host,
        http_port=found.http_port,
        model_dir=found.model_dir,
        model_name=found.model_name,
        endpoint=found.endpoint or found.model_name,
        digest=found.digest,
        namespace=found.namespace,
        pod=found.pod,
        ledger_url=found.ledger_url,
        ledger_token_file=found.ledger_token_file,
        log_dir=Path(found.log_dir) if found.log_dir else None,
        policy=Policy(
            durability=found.durability,
            ack_timeout_s=found.ack_timeout_s,
            bounds=Bounds(max_bytes=found.log_max_bytes, max_age_s=found.log_max_age_s),
        ),
        grace_s=found.grace_s,
        request_timeout_s=found.request_timeout_s,
        max_body_bytes=found.max_body_bytes,
        max_connections=found.max_connections,
        max_rows=found.max_rows,
        workers=found.workers,
        server=found.server,
        batching=found.batching,
        grpc_port=found.grpc_port,
        repository=found.repository,
        access_log=found.access_log,
        log_format=found.log_format,
        event_replies=Replies(
            type=read_environment("CE_TYPE", environment),
            source=read_environment("CE_SOURCE", environment),
            merge=read_environment("CE_MERGE", environment).lower() == "true",
        ),
    )


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    def default(name: str) -> str:
        return read_environment(name, environment)

    parser = argparse.ArgumentParser(prog="turnout.predictor", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--http_host", default="127.0.0.1", help="address to listen on (0.0.0.0 in a container)")
    add("--http_port", type=_port, default=8080, help="port to listen on; 0 takes a free one and prints it")
    add("--model_dir", type=Path, required=True, help="folder with model.onnx and model.json")
    add("--model_name", type=_name, required=True, help="the version, for instance digits-v4")
    add("--endpoint", type=_name, default="", help="the endpoint's name: a second name that it answers to")
    add("--digest", default="", help="sha256:<hex> that model.json must have; empty trusts the folder")
    add("--namespace", default=default("POD_NAMESPACE"), help="namespace of the InferenceService")
    add("--pod", default=default("POD_NAME") or socket.gethostname(), help="name of the Pod: names the prediction log")
    add("--ledger_url", default=default("TURNOUT_LEDGER_URL"), help="where the prediction log is shipped to")
    add("--ledger_token_file", default=default("TURNOUT_LEDGER_TOKEN_FILE"), help="file with the ledger's token")
    add("--log_dir", default=default("TURNOUT_PREDICTION_LOG_DIR"), help="folder of the prediction log")
    durability = default("TURNOUT_PREDICTION_DURABILITY")
    add("--durability", type=_durability, default=durability, help="local, or acked: replies wait for the ledger")
    add("--ack_timeout_s", type=float, default=5.0, help="acked: longest wait for the ledger before a 503")
    add(
        "--log_max_bytes",
        type=int,
        default=1024**3,
        help="local: what may wait for the ledger; more is lost and counted",
    )
    add("--log_max_age_s", type=float, default=259200.0, help="local: and for how long")
    add("--grace_s", type=float, default=2.0, help="longest time that it keeps answering after SIGTERM")
    add("--request_timeout_s", type=float, default=30.0, help="longest time that a request may take to arrive")
    add("--max_body_bytes", type=_positive, default=16 * 1024 * 1024, help="longest body of a request")
    add("--max_connections", type=_positive, default=10_000, help="clients of one worker at the same time")
    add("--max_rows", type=_positive, default=MAX_ROWS, help="most rows of one request")
    add("--workers", type=_positive, default=1, help="processes that share the port, each with the model")
    add("--server", choices=("own", "asgi"), default="own", help="HTTP layer; asgi: uvicorn, a third of the speed")
    add("--batching", action=argparse.BooleanOptionalAction, default=True, help="one run for all requests of a tick")
    add("--grpc_port", type=_port, default=None, help="port of V2 over gRPC (0: a free one); without it there is none")
    add("--repository", type=Path, default=None, help="folder of versions that may be loaded beside the first")
    add("--access_log", action="store_true", help="a line of JSON per prediction on standard output, without inputs")
    add("--log_format", choices=("json", "text"), default="json", help="how messages are written to standard error")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"wanted a port from 0 to 65535, found {port}")
    return port


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"wanted a number above 0, found {number}")
    return number


def _durability(text: str) -> str:
    if text not in DURABILITIES:
        raise argparse.ArgumentTypeError(f"wanted {' or '.join(DURABILITIES)}, found {text!r}")
    return text


def _name(text: str) -> str:
    if text and not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"wanted letters, digits, '.', '_' and '-', found {text!r}")
    return text
