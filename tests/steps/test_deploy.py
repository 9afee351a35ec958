"""Serving a version: the object, the smoke request through the gateway, the challenger in the Turnout."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.steps.learning import BAYES, LOGISTIC, RIDGE, mixed, numbers, spec_of, trained
from tests.steps.objects import Objects, service, turnout
from turnout.errors import Conflict, Failed, Unavailable
from turnout.kube.inferenceservices import Version
from turnout.steps.deploy import Gateway, Smoke, challenge, deploy, smoke_question, smoke_test

_VERSION = Version(
    name="digits-v2", endpoint="digits", uri="file:///models/digits/v2", digest="sha256:ab", run="r", snapshot="snap-1"
)
_SMOKE = Smoke(request={"inputs": []}, expected=7)

Answer = tuple[int, dict[str, str], Any]


class _Gateway(ThreadingHTTPServer):
    """Answers with what `answers` gives in turn, the last for ever; remembers what it was asked."""

    daemon_threads = True

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.asked = answers, []

    @property
    def place(self) -> Gateway:
        return Gateway(f"http://127.0.0.1:{self.server_address[1]}", "localhost")


class _Handler(BaseHTTPRequestHandler):
    server: _Gateway

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.headers["Host"], self.path, json.loads(body)))
        answers = self.server.answers
        status, headers, content = answers.pop(0) if len(answers) > 1 else answers[0]
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def gateway() -> Iterator[Callable[..., _Gateway]]:
    started: list[_Gateway] = []

    def start(*answers: Answer) -> _Gateway:
        server = _Gateway(list(answers))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def _answer(label: Any, *, version: str = "digits-v2") -> Answer:
    outputs = [{"name": "output-0", "datatype": "INT64", "shape": [1], "data": [label]}]
    return 200, {"x-turnout-version": version}, {"model_version": version, "outputs": outputs}


def _deploy(kube: Objects, gateway: _Gateway) -> None:
    place = gateway.place
    deploy(spec_of(BAYES), version=_VERSION, smoke=_SMOKE, namespace="default", kube=kube, gateway=place)  # type: ignore[arg-type]


_NO_ROUTE: Answer = (404, {}, "")


def test_a_version_is_applied_asked_and_named_as_challenger(gateway: Callable[..., _Gateway]) -> None:
    kube, server = Objects(), gateway(_answer(7))
    spec = spec_of(BAYES, rollout={"steps": [10, 50]}, serving={"replicas": 2})
    deploy(spec, version=_VERSION, smoke=_SMOKE, namespace="default", kube=kube, gateway=server.place)  # type: ignore[arg-type]
    served = kube.get("InferenceService", "digits-v2")
    assert served["spec"]["predictor"]["minReplicas"] == 2
    assert served["metadata"]["annotations"]["turnout.dev/digest"] == "sha256:ab"
    assert server.asked == [("digits-v2-default.localhost", "/v2/models/digits-v2/infer", {"inputs": []})]
    made = kube.get("Turnout", "digits")
    assert made["spec"]["challengers"] == ["digits-v2"]
    assert made["spec"]["policy"]["steps"] == [10, 50]
    assert "status" not in made


def test_deploying_twice_changes_nothing(gateway: Callable[..., _Gateway]) -> None:
    kube, server = Objects(), gateway(_answer(7))
    for _ in range(2):
        _deploy(kube, server)
    assert kube.calls == [
        "apply InferenceService digits-v2",
        "create Turnout digits",
        "apply InferenceService digits-v2",
    ]


@pytest.mark.parametrize(
    ("annotations", "serves"), [({"turnout.dev/digest": "sha256:cd"}, "sha256:cd"), (None, "without a digest")]
)
def test_a_name_that_serves_another_model_is_left_alone(
    gateway: Callable[..., _Gateway], annotations: dict[str, str] | None, serves: str
) -> None:
    other = service("digits-v2", uri="file:///models/other", digest="")
    other["metadata"]["annotations"] = annotations
    kube, server = Objects(other), gateway(_answer(7))
    says = rf"InferenceService default/digits-v2 serves another model \({serves}, wanted sha256:ab\).*; register under"
    with pytest.raises(Conflict, match=says):
        _deploy(kube, server)
    assert (kube.calls, server.asked) == ([], [])


def test_a_version_that_does_not_become_ready_is_no_challenger(gateway: Callable[..., _Gateway]) -> None:
    kube = Objects(ready=False)
    with pytest.raises(Failed, match="did not reach condition Ready"):
        _deploy(kube, gateway(_answer(7)))
    assert ("Turnout", "digits") not in kube.objects


def test_a_gateway_that_does_not_know_the_host_yet_is_asked_again(gateway: Callable[..., _Gateway]) -> None:
    server = gateway(_NO_ROUTE, (503, {}, "no endpoints"), _answer(7))
    smoke_test("digits-v2", smoke=_SMOKE, namespace="default", gateway=server.place)
    assert len(server.asked) == 3


def test_a_gateway_that_never_lets_through_is_unavailable(gateway: Callable[..., _Gateway]) -> None:
    with pytest.raises(Unavailable, match=r"with Host digits-v2-shop\.localhost does not reach it: 404"):
        smoke_test("digits-v2", smoke=_SMOKE, namespace="shop", gateway=gateway(_NO_ROUTE).place, timeout_s=0.15)


def test_a_gateway_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="ConnectError"):
        smoke_test(
            "digits-v2",
            smoke=_SMOKE,
            namespace="default",
            gateway=Gateway("http://127.0.0.1:9", "localhost"),
            timeout_s=0.1,
        )


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (_answer(3), "digits-v2 answered 3 to the smoke request; in evaluation it answered 7"),
        (_answer(7, version="digits-v1"), "was answered by digits-v1"),
        ((400, {"x-turnout-version": "digits-v2"}, "no input-0"), "with 400: .*no input-0"),
        ((500, {}, "broken"), "with 500: .*broken"),
    ],
)
def test_a_wrong_answer_is_final(gateway: Callable[..., _Gateway], answer: Answer, says: str) -> None:
    with pytest.raises(Failed, match=says):
        smoke_test("digits-v2", smoke=_SMOKE, namespace="default", gateway=gateway(answer).place)


def test_a_value_may_differ_in_its_last_digits(gateway: Callable[..., _Gateway]) -> None:
    smoke = Smoke(request={}, expected=np.float32(2.5))
    smoke_test("digits-v2", smoke=smoke, namespace="default", gateway=gateway(_answer(2.5001)).place)


def test_the_smoke_question_is_the_first_row_without_gaps(tmp_path: Path) -> None:
    spec = spec_of(LOGISTIC, drop=["price"])
    table = mixed()
    table.loc[table.index[-80], "city"] = None
    table.loc[table.index[-79], "city"] = "Bonn"
    trained(spec, tmp_path, table, candidate="logistic")
    smoke = smoke_question(tmp_path / "logistic", test=tmp_path / "test.parquet", spec=spec)
    given = {tensor["name"]: tensor["data"] for tensor in smoke.request["inputs"]}
    assert given["city"] == ["Bonn"]
    assert smoke.expected in ("cheap", "dear")
    json.dumps(smoke.request, allow_nan=False)


def test_the_smoke_question_of_a_regression_expects_a_value(tmp_path: Path) -> None:
    spec = spec_of(RIDGE, label="a", task="regression", drop=["kind"])
    trained(spec, tmp_path, numbers(), candidate="ridge")
    smoke = smoke_question(tmp_path / "ridge", test=tmp_path / "test.parquet", spec=spec)
    assert smoke.request["inputs"][0]["shape"] == [1, 2]
    assert isinstance(smoke.expected, np.float32)


def _challenged(kube: Objects, version: str = "digits-v2") -> list[str]:
    challenge(spec_of(BAYES), version=version, namespace="default", kube=kube)  # type: ignore[arg-type]
    return list(kube.get("Turnout", "digits")["spec"]["challengers"])


def test_a_challenger_joins_those_that_are_there() -> None:
    assert _challenged(Objects(turnout(challengers=["digits-v1"]))) == ["digits-v1", "digits-v2"]


def test_the_champion_does_not_challenge_itself() -> None:
    assert _challenged(Objects(turnout(champion="digits-v2"))) == []


def test_a_turnout_that_changes_meanwhile_is_read_again() -> None:
    kube = Objects(turnout(champion="digits-v1"))
    kube.conflicts = 2
    assert _challenged(kube) == ["digits-v2"]


def test_a_turnout_that_changes_for_ever_is_a_conflict() -> None:
    kube = Objects(turnout(champion="digits-v1"))
    kube.conflicts = 100
    with pytest.raises(Conflict, match="Turnout default/digits changed 10 times while digits-v2 was to be added"):
        _challenged(kube)
