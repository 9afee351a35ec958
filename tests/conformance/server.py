"""A client for these tests: requests as data, answers as they came, and namespaces that go away again."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

Object = dict[str, Any]

DEADLINE_S = 180.0  # a laptop that builds images at the same time stalls for a minute now and then
TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@dataclass
class Server:
    """An API server as a kubeconfig describes it."""

    kubeconfig: Path
    client: httpx.Client
    anonymous: httpx.Client
    namespaces: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.client.request(method, path, **more)

    def get(self, path: str, *, accept: str = "application/json", **query: Any) -> httpx.Response:
        return self.client.get(path, params=query, headers={"Accept": accept})

    def post(self, path: str, body: Any, **query: Any) -> httpx.Response:
        return self.client.post(path, json=body, params=query)

    def put(self, path: str, body: Any, **query: Any) -> httpx.Response:
        return self.client.put(path, json=body, params=query)

    def patch(self, path: str, body: Any, *, how: str = "merge", **query: Any) -> httpx.Response:
        return self.client.patch(path, json=body, params=query, headers={"Content-Type": TYPES[how]})

    def apply(self, path: str, body: Any, *, manager: str, **query: Any) -> httpx.Response:
        return self.patch(path, body, how="apply", fieldManager=manager, **query)

    def delete(self, path: str, body: Any = None, **query: Any) -> httpx.Response:
        return self.client.request("DELETE", path, params=query, json=body)

    def watch(self, path: str, **query: Any) -> list[Object]:
        """The events of a watch that ends by itself."""
        text = self.get(path, watch="true", timeoutSeconds=1, **query).text
        return [json.loads(line) for line in text.splitlines()]

    def namespace(self) -> str:
        """A namespace of our own; `clean` deletes it."""
        name = f"conformance-{uuid.uuid4().hex[:8]}"
        answer = self.post("/api/v1/namespaces", {"metadata": {"name": name}})
        assert answer.status_code == 201, answer.text
        self.namespaces.append(name)
        return name

    def volume(self, namespace: str, folder: str) -> None:
        """A claim `samples` on a folder of the cluster's node, for as long as the tests run."""
        space = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
        claimed = {**space, "capacity": {"storage": "1Gi"}, "hostPath": {"path": folder}}
        made = self.post("/api/v1/persistentvolumes", {"metadata": {"name": namespace}, "spec": claimed})
        assert made.status_code == 201, made.text
        self.volumes.append(namespace)
        claim = {**space, "volumeName": namespace, "resources": {"requests": {"storage": "1Gi"}}}
        made = self.post(
            f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", {"metadata": {"name": "samples"}, "spec": claim}
        )
        assert made.status_code == 201, made.text

    def clean(self) -> None:
        for name in self.volumes:
            self.delete(f"/api/v1/persistentvolumes/{name}")
        for name in self.namespaces:
            self.delete(f"/api/v1/namespaces/{name}")

    def kubectl(self, *words: str, given: str = "", check: bool = True, **env: str) -> str:
        """What kubectl prints; both of its streams.

        It gives a handshake ten seconds, which a machine that stands still takes from it; nothing was asked for then.
        """
        for _ in range(5):
            done = subprocess.run(
                ["kubectl", *words],
                input=given,
                capture_output=True,
                text=True,
                timeout=DEADLINE_S,
                env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": self.cache, **env},
            )
            if "TLS handshake timeout" not in done.stderr:
                break
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def cache(self) -> str:
        return str(self.kubeconfig.parent / "conformance-cache") if os.access(self.kubeconfig.parent, os.W_OK) else ""

    def close(self) -> None:
        self.client.close()
        self.anonymous.close()


def connect(kubeconfig: Path) -> Server:
    """A server by the current context of a kubeconfig with a token or a client certificate."""
    config = yaml.safe_load(kubeconfig.read_text())
    context = _named(config["contexts"], config["current-context"])["context"]
    cluster = _named(config["clusters"], context["cluster"])["cluster"]
    user = _named(config["users"], context["user"])["user"]
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    base = cluster["server"].rstrip("/")
    client = httpx.Client(base_url=base, headers=headers, verify=_trust(cluster, user), timeout=DEADLINE_S)
    return Server(kubeconfig, client, httpx.Client(base_url=base, verify=_trust(cluster, {}), timeout=DEADLINE_S))


def current_context(kubeconfig: Path) -> str:
    return str(yaml.safe_load(kubeconfig.read_text())["current-context"])


def _named(entries: list[Object], name: str) -> Object:
    return next(entry for entry in entries if entry["name"] == name)


def _trust(cluster: Object, user: Object) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if "certificate-authority-data" in cluster:
        context.load_verify_locations(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    elif "certificate-authority" in cluster:
        context.load_verify_locations(cluster["certificate-authority"])
    if "client-certificate-data" in user:
        with tempfile.NamedTemporaryFile("wb", suffix=".pem") as file:
            for key in ("client-certificate-data", "client-key-data"):
                file.write(base64.b64decode(user[key]))
            file.flush()
            context.load_cert_chain(file.name)
    return context


@contextlib.contextmanager
def fresh_engine(folder: Path) -> Iterator[Path]:
    """The kubeconfig of an engine that lives as long as the tests; started as a user starts it."""
    command = [str(Path(sys.executable).with_name("turnout"))]
    env = {**os.environ, "TURNOUT_HOME": str(folder)}
    subprocess.run([*command, "up", "--gateway-port", "0"], env=env, check=True, capture_output=True, timeout=120)
    try:
        yield folder / "kubeconfig"
    finally:
        subprocess.run([*command, "down"], env=env, check=True, capture_output=True, timeout=120)


def eventually(holds: Callable[[], Any], *, within_s: float = DEADLINE_S) -> Any:
    """The first true answer; fails when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)
    return found


def reason(answer: httpx.Response) -> tuple[int, str]:
    """Status code and reason of a refusal: what clients switch on."""
    return answer.status_code, answer.json().get("reason", "")
