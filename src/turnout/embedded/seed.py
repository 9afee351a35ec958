"""What every engine has from its first start: namespaces, the Gateway, Turnout's addresses, the ONNX runtime, samples.

Written through the store, again at every start: what is derived from the settings follows them, what a user has
changed since stays.
"""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import yaml

from turnout.embedded import system
from turnout.embedded.gateway import routes
from turnout.embedded.home import Home, Settings
from turnout.embedded.serving import workloads
from turnout.embedded.store import AlreadyExists, Store
from turnout.errors import NotFound

__all__ = ["seed"]

Object = dict[str, Any]

# What turnout.kube.discovery looks for; it is not imported, because it brings the `kubernetes` package along.
SYSTEM_NAMESPACE = "turnout-system"
CONFIG_MAP = "turnout-config"
LEDGER_SECRET = "turnout-ledger"  # noqa: S105 (the name of the Secret, not its content)

_SEEDS = Path(__file__).parent / "seed"
_SEED = "turnout.dev/seed"  # on an object that users may edit: a digest of what we gave them
_GATEWAY = "kserve-ingress-gateway"
_GATEWAY_NAMESPACE = "kserve"
_CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"


def seed(store: Store, home: Home, settings: Settings) -> None:
    """Bring the store and the volumes to where a start begins."""
    for name in ("default", "kube-system", _GATEWAY_NAMESPACE, SYSTEM_NAMESPACE):
        _create("Namespace", _namespace(name), store)
    _replace("GatewayClass", _gateway_class(), store)
    _replace("Gateway", _gateway(settings), store)
    _replace("ConfigMap", _addresses(home, settings), store)
    _replace("Secret", _ledger_secret(home), store)
    for process, port in ((system.LEDGER, settings.ledger_port), (system.MLFLOW, settings.mlflow_port)):
        is_there = process not in settings.without and (process != system.MLFLOW or settings.mlflow)
        _publish(process, port, settings, store, is_there=is_there)
    for file in sorted(_SEEDS.glob("*.yaml")):
        _offer(yaml.safe_load(file.read_text(encoding="utf-8")), store)
    _copy_volumes(home)


def _create(kind: str, obj: Object, store: Store) -> None:
    try:
        store.create(kind, obj)
    except AlreadyExists:
        return


def _replace(kind: str, obj: Object, store: Store) -> None:
    """Make an object what it should be, status included."""
    metadata = obj["metadata"]

    def change(current: Object) -> Object:
        return {**current, **obj, "metadata": {**current["metadata"], **metadata}}

    try:
        store.mutate(kind, metadata["name"], metadata.get("namespace"), change)
    except NotFound:
        store.create(kind, obj)
    if "status" in obj:
        store.mutate(
            kind, metadata["name"], metadata.get("namespace"), lambda c: {**c, "status": obj["status"]}, status=True
        )


def _offer(obj: Object, store: Store) -> None:
    """Give users an object that is theirs from then on, until we have a new edition of it."""
    edition = workloads.short_hash(obj)
    metadata = obj["metadata"]
    metadata["annotations"] = {**(metadata.get("annotations") or {}), _SEED: edition}
    try:
        found = store.get(obj["kind"], metadata["name"], metadata.get("namespace"))
    except NotFound:
        store.create(obj["kind"], obj)
        return
    if (found["metadata"].get("annotations") or {}).get(_SEED) != edition:
        _replace(obj["kind"], obj, store)


def _publish(process: str, port: int, settings: Settings, store: Store, *, is_there: bool) -> None:
    """A Service and a host name for a system process, or neither."""
    name, host = f"turnout-{process}", f"{process}.{settings.domain}"
    if is_there:
        _replace("Service", _service(name, process, port), store)
        _replace("HTTPRoute", _route(name, host), store)
        return
    for kind in ("HTTPRoute", "Service"):
        try:
            store.delete(kind, name, SYSTEM_NAMESPACE)
        except NotFound:
            continue


def _namespace(name: str) -> Object:
    labels = {"kubernetes.io/metadata.name": name}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def _gateway_class() -> Object:
    return {
        "metadata": {"name": "envoy"},
        "spec": {"controllerName": _CONTROLLER},
        "status": {"conditions": [_true("Accepted", "Valid GatewayClass")]},
    }


def _gateway(settings: Settings) -> Object:
    listener = {
        "name": "http",
        "port": settings.gateway_port,
        "protocol": "HTTP",
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return {
        "metadata": {"name": _GATEWAY, "namespace": _GATEWAY_NAMESPACE},
        "spec": {"gatewayClassName": "envoy", "listeners": [listener]},
        "status": {
            "addresses": [{"type": "IPAddress", "value": "127.0.0.1"}],
            "conditions": [_true("Accepted", "The Gateway is accepted"), _true("Programmed", "Envoy serves it")],
        },
    }


def _true(name: str, message: str) -> Object:
    return {
        "type": name,
        "status": "True",
        "reason": name,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }


def _addresses(home: Home, settings: Settings) -> Object:
    return {
        "metadata": {"name": CONFIG_MAP, "namespace": SYSTEM_NAMESPACE},
        "data": {
            "gatewayUrl": f"http://127.0.0.1:{settings.gateway_port}",
            "domain": settings.domain,
            "ledgerUrl": system.ledger_url(settings),
            "mlflowUri": home.mlflow_uri,
            "artifactsUrl": home.artifacts.as_uri(),
        },
    }


def _ledger_secret(home: Home) -> Object:
    return {
        "metadata": {"name": LEDGER_SECRET, "namespace": SYSTEM_NAMESPACE},
        "type": "Opaque",
        "data": {"token": base64.b64encode(home.ledger_token.read_bytes()).decode("ascii")},
    }


def _service(name: str, process: str, port: int) -> Object:
    return {
        "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE, "annotations": {routes.PROCESS: process}},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "127.0.0.1",
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": port}],
        },
        "status": {"loadBalancer": {}},
    }


def _route(name: str, host: str) -> Object:
    gateway = {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": _GATEWAY,
        "namespace": _GATEWAY_NAMESPACE,
    }
    backend = {"group": "", "kind": "Service", "name": name, "port": 80, "weight": 1}
    return {
        "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE},
        "spec": {
            "parentRefs": [gateway],
            "hostnames": [host],
            "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [backend]}],
        },
    }


def _copy_volumes(home: Home) -> None:
    """The samples' models, as the volume `samples` and in our own bucket."""
    for model in sorted(path for path in (_SEEDS / "samples").glob("*/") if path.is_dir()):
        for place in (home.volumes, home.artifacts):
            shutil.copytree(model, place / "samples" / model.name, dirs_exist_ok=True)
