"""Passwords: made where a cluster is ours, asked for where it is somebody's. There are no default ones."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from cluster.tools import Problem, apply, read, say

__all__ = ["SYSTEM", "WANTED", "check", "copy", "lend", "make"]

SYSTEM = "turnout-system"
WANTED = {
    "turnout-ledger": ("token",),
    "turnout-database": ("ledger", "mlflow"),
    "turnout-s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
}
"""The Secrets that the base needs, and their keys; docs/cluster.md says what each holds."""

_ENDPOINT = "turnout-s3.turnout-system:8333"


def check() -> None:
    """Whether everything is there.

    Raises:
        Problem: names each Secret and key that is not.
    """
    missing = [
        f"{name} ({', '.join(lacking)})"
        for name, keys in WANTED.items()
        if (lacking := [key for key in keys if not (_data(name) or {}).get(key)])
    ]
    if missing:
        raise Problem(
            f"namespace {SYSTEM} lacks Secrets: {'; '.join(missing)}. They are yours to make: see docs/cluster.md"
        )


def make() -> None:
    """Make what is missing, at random; what is there stays, because databases know it already."""
    passwords = _ensure("turnout-postgres", {key: _random() for key in ("postgres", "ledger", "mlflow")})
    host = f"turnout-postgres.{SYSTEM}:5432"
    _ensure(
        "turnout-database",
        {
            "ledger": f"postgresql://ledger:{passwords['ledger']}@{host}/ledger",
            "mlflow": f"postgresql+psycopg://mlflow:{passwords['mlflow']}@{host}/mlflow",
        },
    )
    _ensure("turnout-s3", {"AWS_ACCESS_KEY_ID": "turnout", "AWS_SECRET_ACCESS_KEY": _random()})
    _ensure("turnout-ledger", {"token": _random()})


def lend(namespace: str) -> None:
    """Let predictors of a namespace fetch models: the keys, as KServe wants them, with its default ServiceAccount."""
    keys = _data("turnout-s3") or {}
    endpoint = (read("configmap", "turnout-inside", SYSTEM) or {}).get("data", {}).get("AWS_ENDPOINT_URL", "")
    scheme, _, address = endpoint.partition("://")
    annotations = {
        "serving.kserve.io/s3-endpoint": address or _ENDPOINT,
        "serving.kserve.io/s3-usehttps": "1" if scheme == "https" else "0",
        "serving.kserve.io/s3-region": "us-east-1",
        "serving.kserve.io/s3-usevirtualbucket": "false",
    }
    secret = _secret("turnout-s3", keys, namespace=namespace)
    secret["metadata"]["annotations"] = annotations
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": namespace},
        "secrets": [{"name": "turnout-s3"}],
    }
    apply(secret, account)


def copy(name: str, namespace: str) -> None:
    """The same Secret in another namespace: Pods can only use their own namespace's."""
    apply(_secret(name, _data(name) or {}, namespace=namespace))


def _ensure(name: str, values: dict[str, str]) -> dict[str, str]:
    found = _data(name)
    if found is not None and all(key in found for key in values):
        return found
    say(f"  Secret {name}: made")
    kept = {**values, **(found or {})}
    apply(_secret(name, kept, namespace=SYSTEM))
    return kept


def _data(name: str) -> dict[str, str] | None:
    found = read("secret", name, SYSTEM)
    if found is None:
        return None
    return {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()}


def _secret(name: str, values: dict[str, str], *, namespace: str) -> dict[str, Any]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "labels": {"app.kubernetes.io/part-of": "turnout"},
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}


def _random() -> str:
    return secrets.token_urlsafe(24)
