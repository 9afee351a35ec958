"""A running engine as tests see it: kubectl, the gateway, and load on it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from turnout.embedded import lifecycle
from turnout.embedded.supervision import records
from turnout.embedded.supervision.records import Record

WITHOUT = ("ledger", "controller")  # these tests are about the engine; the others have tests of their own
ECHO = Path(__file__).parent / "echo_server.py"
COMMAND = f"python {ECHO} --http_port={{{{.Port}}}} --model_dir={{{{.ModelDir}}}} --name={{{{.Name}}}}"
RUNTIME = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "ServingRuntime",
    "metadata": {"name": "echo", "namespace": "default"},
    "spec": {
        "annotations": {"turnout.dev/command": COMMAND},
        "supportedModelFormats": [{"name": "echo", "version": "1", "autoSelect": True, "priority": 1}],
        "protocolVersions": ["v1", "v2"],
        "containers": [
            {
                "name": "kserve-container",
                "image": "echo:1",
                "args": ["--model_name={{.Name}}"],
                "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": 8080}},
            }
        ],
    },
}


def inference_service(name: str, model: Path | str, *, replicas: int = 1, **model_fields: Any) -> dict[str, Any]:
    """An InferenceService of the echo runtime."""
    uri = model.as_uri() if isinstance(model, Path) else model
    fields = {"modelFormat": {"name": "echo"}, "storageUri": uri, **model_fields}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": "default",
            "annotations": {"serving.kserve.io/autoscalerClass": "none"},
        },
        "spec": {"predictor": {"minReplicas": replicas, "model": fields}},
    }


def http_route(name: str, host: str, *rules: dict[str, Any]) -> dict[str, Any]:
    """An HTTPRoute at the engine's Gateway."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "parentRefs": [{"name": "kserve-ingress-gateway", "namespace": "kserve"}],
            "hostnames": [host],
            "rules": list(rules),
        },
    }


def backend(version: str, weight: int = 1) -> dict[str, Any]:
    """A reference to a version's Service that stamps the request, as a Turnout's route does."""
    stamp = {"name": "x-turnout-assigned", "value": f"{version};p=1;rev=test"}
    modifier = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [stamp]}}
    return {"name": f"{version}-predictor", "port": 80, "weight": weight, "filters": [modifier]}


def eventually(condition: Callable[[], Any], *, within_s: float = 10.0) -> Any:
    """Wait until the condition gives something true; returns that."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"in vain for {within_s} s: {condition}"
        time.sleep(0.02)
    return found


@dataclass(frozen=True)
class Answer:
    """What the gateway gave."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


@dataclass(frozen=True)
class Running:
    """An engine that is up."""

    home: Path

    @property
    def gateway_port(self) -> int:
        return int(lifecycle.status(self.home).urls["gateway"].rpartition(":")[2])

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        """Run the real kubectl; its standard output, or with `check=False` both outputs."""
        program = shutil.which("kubectl", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        assert program is not None
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.home / "kubeconfig"),
            "KUBECACHEDIR": str(self.home / "cache"),
        }
        done = subprocess.run(
            [program, *arguments], input=stdin, capture_output=True, text=True, env=environment, timeout=60, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout if check else done.stdout + done.stderr

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def condition(self, kind: str, name: str, condition: str) -> dict[str, Any]:
        conditions = self.get(kind, name).get("status", {}).get("conditions", [])
        return next((entry for entry in conditions if entry["type"] == condition), {})

    def wait_ready(self, *names: str) -> None:
        for name in names:
            self.kubectl("wait", f"isvc/{name}", "--for=condition=Ready", "--timeout=120s")

    def ask(self, host: str, path: str = "/x", *, method: str = "GET", **headers: str) -> Answer:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return next(self.ask_each(host, [named], path=path, method=method))

    def ask_each(
        self, host: str, headers: Sequence[Mapping[str, str]], *, path: str = "/x", method: str = "GET"
    ) -> Iterator[Answer]:
        """The answers to requests with these headers, one after the other over one connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway_port, timeout=60)
        with contextlib.closing(connection):
            for given in headers:
                connection.request(method, path, headers={"Host": host, **given})
                reply = connection.getresponse()
                yield Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read().decode())

    def predictors(self) -> list[Record]:
        """The living predictor processes."""
        found = records.load(self.home / "run")
        return [record for record in found if record.role == "predictor" and record.is_alive]

    def record(self, name: str) -> Record:
        return next(record for record in records.load(self.home / "run") if record.name == name)

    def engine(self) -> Record:
        return next(record for record in records.load(self.home) if record.name == "engine")

    @contextlib.contextmanager
    def load(self, host: str, *, clients: int = 2) -> Iterator[Load]:
        """Clients that ask without a pause while the block runs."""
        found = Load(port=self.gateway_port, host=host)
        threads = [threading.Thread(target=found.run, daemon=True) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield found
        finally:
            found.is_over.set()
            for thread in threads:
                thread.join()


@dataclass
class Load:
    """Counts what clients got: status and version of every answer."""

    port: int
    host: str
    is_over: threading.Event = field(default_factory=threading.Event)
    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    pause_s: float = 0.002

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self.is_over.is_set():
            try:
                connection.request("POST", "/v2/models/x/infer", body=b"{}", headers={"Host": self.host})
                reply = connection.getresponse()
                reply.read()
                answer = (reply.status, reply.getheader("x-turnout-version") or "")
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                answer = (0, type(error).__name__)
            self.answers[answer] += 1
            time.sleep(self.pause_s)

    @property
    def total(self) -> int:
        return sum(self.answers.values())

    def count(self, status: int) -> int:
        return sum(number for (found, _), number in self.answers.items() if found == status)

    def wait_more(self, number: int) -> None:
        """Wait for so many more answers."""
        wanted = self.total + number
        eventually(lambda: self.total >= wanted)


@contextlib.contextmanager
def engine(home: Path, **options: Any) -> Iterator[Running]:
    """An engine on this home, taken down at the end whatever happens."""
    try:
        lifecycle.up(home, **{"gateway_port": 0, "without": WITHOUT, **options})
        yield Running(home)
    finally:
        lifecycle.down(home)
