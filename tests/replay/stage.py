"""A stage for rollouts in compressed time: real engine, gateway, predictors, ledger; made-up users and labels."""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import yaml

from turnout.errors import NotFound, TurnoutError
from turnout.kube.client import Kube
from turnout.kube.discovery import Addresses
from turnout.ledger.client import LedgerClient

ROOT = Path(__file__).parents[2]
FAULTY = Path(__file__).parent / "faulty.py"
ROW = [[5.1, 3.5, 1.4, 0.2]]
QUICK = {
    "steps": [20, 50],
    "margin": 0.2,
    "labelWindow": "1s",
    "stepTime": "300ms",
    "minLabels": 5,
    "bake": "1s",
    "keep": 9,
}
Right = Callable[[str, float], float | None]


def runtime() -> dict[str, Any]:
    """The ONNX runtime with predictors that may misbehave."""
    obj = yaml.safe_load((ROOT / "kserve" / "clusterservingruntime-onnx.yaml").read_text())
    obj["metadata"]["name"] = "faulty"
    command = obj["spec"]["annotations"]["turnout.dev/command"]
    obj["spec"]["annotations"]["turnout.dev/command"] = command.replace("-m turnout.predictor", str(FAULTY))
    obj["spec"]["supportedModelFormats"] = [{"name": "faulty", "version": "1", "autoSelect": False}]
    return obj


def version(endpoint: str, number: int, *, fault: str = "") -> dict[str, Any]:
    """An InferenceService of the iris sample."""
    obj = yaml.safe_load((ROOT / "kserve" / "samples" / "iris-v1.yaml").read_text())
    obj["metadata"].update(name=f"{endpoint}-v{number}", namespace="default", labels={"turnout.dev/endpoint": endpoint})
    obj["metadata"]["annotations"]["turnout.dev/endpoint"] = endpoint
    if fault:
        model = obj["spec"]["predictor"]["model"]
        model.update(runtime="faulty", modelFormat={"name": "faulty"}, args=[f"--fault={fault}"])
    return obj


@dataclass
class Users:
    """Clients of one endpoint and those who label; `right` says how often a version is, by name and seconds so far."""

    gateway_url: str
    ledger: LedgerClient
    host: str
    model: str
    right: Right
    rate: float = 60.0
    header: str = ""
    population: int = 0
    retries: int = 1
    failures: list[str] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    met: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._draw = random.Random(11)
        self._stop = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._labels: list[tuple[float, str, float, bool]] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        parts = urllib.parse.urlsplit(self.gateway_url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
        due = time.monotonic()
        while not self._stop.is_set():
            caller = f"{self.model}-{self._draw.getrandbits(64):x}" if self.retries > 1 else ""
            for _ in range(self.retries):
                self._ask(connection, caller)
            self._label()
            due = max(due + 1 / self.rate, time.monotonic() - 0.1)
            self._stop.wait(max(0.0, due - time.monotonic()))
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, caller: str) -> None:
        headers = {"Host": self.host, **({"x-turnout-caller-id": caller} if caller else {})}
        user = str(self._draw.randrange(self.population)) if self.population else ""
        if user:
            headers[self.header] = user
        try:
            connection.request("POST", f"/v1/models/{self.model}:predict", orjson.dumps({"instances": ROW}), headers)
            reply = connection.getresponse()
            body = reply.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self.failures.append(repr(error))
            return
        name, prediction = reply.headers.get("x-turnout-version"), reply.headers.get("x-turnout-id")
        if reply.status != http.HTTPStatus.OK or not name or not prediction:
            self.failures.append(f"{reply.status} {body[:200]!r}")
            return
        self.answered[name] += 1
        if user:
            self.met.setdefault(user, []).append(name)
        chance = self.right(name, time.monotonic() - self._began)
        if chance is not None:
            score = float(self._draw.random() < chance)
            self._labels.append((time.monotonic() + 0.2, caller or prediction, score, bool(caller)))

    def _label(self) -> None:
        while self._labels and self._labels[0][0] < time.monotonic():
            _, name, score, is_caller = self._labels.pop(0)
            try:
                if is_caller:  # one word for all answers to it: a true label, which is 0 for this flower
                    self.ledger.feedback_by_caller(name, label=0 if score else 1, method="PUT")
                else:
                    self.ledger.feedback(name, score=score)
            except TurnoutError:
                continue  # the ledger is away: a label that nobody took is a label that never came


@dataclass
class Stage:
    """One endpoint with its versions, users and Turnout."""

    kube: Kube
    addresses: Addresses
    name: str
    users: Users
    ledger: LedgerClient
    versions: int

    @classmethod
    def set(
        cls,
        kube: Kube,
        addresses: Addresses,
        name: str,
        *,
        right: Right,
        fault: str = "",
        policy: dict[str, Any] | None = None,
        sticky: str = "",
        versions: int = 2,
        **users: Any,
    ) -> Stage:
        """Some ready versions, the first of them champion, and users who have begun to ask."""
        for number in range(1, versions + 1):
            kube.apply(version(name, number, fault=fault if number == 2 else ""))
        ledger = LedgerClient(addresses.ledger_url, addresses.ledger_token)
        crowd = Users(addresses.gateway_url, ledger, f"{name}.{addresses.domain}", name, right, header=sticky, **users)
        stage = cls(kube, addresses, name, crowd, ledger, versions)
        spec = {"challengers": [f"{name}-v1"], "policy": {**QUICK, **(policy or {})}}
        if sticky:
            spec["sticky"] = {"header": sticky}
        for number in range(1, versions + 1):
            kube.wait("InferenceService", f"{name}-v{number}", namespace="default")
        metadata = {"name": name, "namespace": "default"}
        kube.apply({"apiVersion": "turnout.dev/v1alpha1", "kind": "Turnout", "metadata": metadata, "spec": spec})
        stage.until(lambda s: s.get("champion") == f"{name}-v1", "a champion")
        stage.until_answered()
        crowd.start()
        return stage

    def clear(self) -> None:
        """End everything, with or without a controller that lets go of the versions."""
        self.users.stop()
        self.kube.delete("Turnout", self.name, namespace="default")
        for number in range(1, self.versions + 1):
            version = f"{self.name}-v{number}"
            self.kube.delete("InferenceService", version, namespace="default")
            with contextlib.suppress(NotFound):
                body = {"metadata": {"finalizers": None}}
                self.kube.patch("InferenceService", version, namespace="default", body=body)

    def challenge(self) -> None:
        """Let all versions want the endpoint."""
        challengers = [f"{self.name}-v{number}" for number in range(1, self.versions + 1)]
        self.kube.patch("Turnout", self.name, namespace="default", body={"spec": {"challengers": challengers}})

    def until(self, holds: Callable[[dict[str, Any]], bool], what: str, *, timeout_s: float = 120.0) -> dict[str, Any]:
        """Wait for the status; the message of a failure repeats the conditions."""
        obj = self.kube.wait_until(
            "Turnout",
            self.name,
            namespace="default",
            holds=lambda obj: holds(obj.get("status") or {}),
            what=what,
            timeout_s=timeout_s,
        )
        return dict(obj["status"])

    def until_answered(self) -> None:
        """Wait until the gateway knows the route."""
        probe = Users(self.users.gateway_url, self.ledger, self.users.host, self.name, lambda *_: None)
        probe.start()
        deadline = time.monotonic() + 60
        while not probe.answered and time.monotonic() < deadline:
            time.sleep(0.05)
        probe.stop()

    def judged(self, word: str) -> dict[str, Any]:
        """Wait until the second version was judged; it must be this word."""
        second = f"{self.name}-v2"
        status = self.until(lambda s: second in (s.get("judged") or {}), f"a verdict about {second}")
        assert status["judged"][second] == word, status
        return status

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The audit of this endpoint."""
        return list(self.ledger.audit(turnout=self.name)["rows"])

    @property
    def actions(self) -> list[str]:
        """What was decided, in order."""
        return [row["action"] for row in self.rows if row["action"] not in ("weights", "alias", "gap")]

    @property
    def route(self) -> dict[str, Any]:
        return self.kube.get("HTTPRoute", f"{self.name}-turnout", namespace="default")

    @property
    def weights(self) -> dict[str, int]:
        backends = self.route["spec"]["rules"][0]["backendRefs"]
        return {
            backend["name"].removesuffix("-predictor"): backend["weight"] for backend in backends if backend["weight"]
        }


def constant(first: float, second: float | None) -> Right:
    """Versions that are right this often; None never gets a label."""
    return lambda version, _: first if version.endswith("-v1") else second
