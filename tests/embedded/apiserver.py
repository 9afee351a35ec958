"""The embedded API for tests: in the test's own process, and over TLS for clients that nobody here wrote."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import ipaddress
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from turnout.embedded import garbage
from turnout.embedded.api import application, built_in
from turnout.embedded.api.logs import LogOptions
from turnout.embedded.store import Store

TOKEN = "the-token"
CORE = "/api/v1/namespaces/default"
ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes"
SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"
RUNTIMES = "/apis/serving.kserve.io/v1alpha1/namespaces/default/servingruntimes"

_PATCHES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


def read_log(namespace: str, pod: str, wanted: LogOptions) -> Iterator[bytes]:
    """A log of three lines for every pod; followed, one more."""
    lines = [b"one\n", b"two\n", b"three\n"]
    yield from lines[-wanted.tail_lines :] if wanted.tail_lines else lines
    if wanted.follow:
        yield b""
        yield b"and on\n"


class Api:
    """Requests to an application over a store of its own, with one namespace."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "store.db", durable=False)
        self.store.create("Namespace", built_in.namespace("default"))
        app = application(self.store, token=TOKEN, read_log=read_log)
        self._runner = asyncio.Runner()
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://api", headers=headers)

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()
        self.store.close()

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._runner.run(self._client.request(method, path, **more))

    def send(
        self,
        method: str,
        path: str,
        query: list[tuple[str, str]],
        headers: dict[str, str],
        body: bytes,
        timeout_s: float,
    ) -> httpx.Response:
        """A request as it is written; raises TimeoutError when no answer comes in time."""
        sent = self._client.request(method, path, params=query, headers=headers, content=body)
        return self._runner.run(asyncio.wait_for(sent, timeout_s))

    def get(self, path: str, *, accept: str = "application/json", **query: Any) -> httpx.Response:
        return self.request("GET", path, params=query, headers={"Accept": accept})

    def post(self, path: str, body: Any, **query: Any) -> httpx.Response:
        return self.request("POST", path, json=body, params=query)

    def put(self, path: str, body: Any, **query: Any) -> httpx.Response:
        return self.request("PUT", path, json=body, params=query)

    def patch(self, path: str, body: Any, *, how: str = "merge", **query: Any) -> httpx.Response:
        headers = {"Content-Type": _PATCHES[how]}
        return self.request("PATCH", path, json=body, params=query, headers=headers)

    def delete(self, path: str, body: Any = None, **query: Any) -> httpx.Response:
        return self.request("DELETE", path, json=body, params=query)


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Api]:
    """An `Api` for the time of a test."""
    api = Api(folder)
    try:
        yield api
    finally:
        api.close()


def config_map(name: str = "a", **more: Any) -> dict[str, Any]:
    labels = {"labels": more.pop("labels")} if "labels" in more else {}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **labels}, **more}


def route(name: str = "a", **spec: Any) -> dict[str, Any]:
    version = "gateway.networking.k8s.io/v1"
    return {"apiVersion": version, "kind": "HTTPRoute", "metadata": {"name": name}, "spec": spec}


def inference_service(
    name: str = "a", *, annotations: dict[str, str] | None = None, **predictor: Any
) -> dict[str, Any]:
    predictor = predictor or {"model": {"modelFormat": {"name": "onnx"}, "storageUri": "file:///models/a"}}
    metadata: dict[str, Any] = {"name": name, **({"annotations": annotations} if annotations else {})}
    version = "serving.kserve.io/v1beta1"
    return {"apiVersion": version, "kind": "InferenceService", "metadata": metadata, "spec": {"predictor": predictor}}


def runtime(name: str = "a", **spec: Any) -> dict[str, Any]:
    entry = {"name": "onnx", "version": "1", "autoSelect": True, "priority": 1}
    spec = {"containers": [{"name": "c"}], "supportedModelFormats": [entry], "protocolVersions": ["v2"], **spec}
    version = "serving.kserve.io/v1alpha1"
    return {"apiVersion": version, "kind": "ServingRuntime", "metadata": {"name": name}, "spec": spec}


class Served:
    """An API server over TLS on a free port, with a garbage collector, and a kubeconfig for it."""

    def __init__(self, folder: Path) -> None:
        self.kubeconfig = folder / "kubeconfig"
        self.store = Store(folder / "store.db", durable=False)
        self.store.create("Namespace", built_in.namespace("default"))
        self._socket = socket.create_server(("127.0.0.1", 0))
        certificate, key = _certificate(folder)
        self._write_kubeconfig(certificate)
        app = application(self.store, token=TOKEN, read_log=read_log)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                ssl_certfile=certificate,
                ssl_keyfile=key,
                log_level="error",
                lifespan="off",
                timeout_graceful_shutdown=1,
            )
        )
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}),
            threading.Thread(target=self._collect),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.store.close()

    def _collect(self) -> None:
        changes = self.store.subscribe()
        while not self._over.is_set():
            changes.wait(0.1)
            garbage.collect(self.store)

    def _write_kubeconfig(self, certificate: Path) -> None:
        server = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        data = base64.b64encode(certificate.read_bytes()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority-data": data}}],
            "users": [{"name": "test", "user": {"token": TOKEN}}],
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Served]:
    """A `Served` for the time of some tests."""
    server = Served(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for loopback that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return paths
