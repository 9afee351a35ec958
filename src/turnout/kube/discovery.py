"""How everybody with a kubeconfig finds everything: one ConfigMap and one Secret, the same in both engines."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from turnout import resolving, settings
from turnout.errors import NotFound, Unavailable
from turnout.kube.client import Kube

__all__ = [
    "CONFIG_MAP",
    "LEDGER_SECRET",
    "OBJECT_STORE_SECRET",
    "SYSTEM_NAMESPACE",
    "Addresses",
    "discover",
    "ledger_token",
    "object_store",
]

SYSTEM_NAMESPACE = "turnout-system"
CONFIG_MAP = "turnout-config"
LEDGER_SECRET = "turnout-ledger"  # noqa: S105 - the name of the Secret, not its content
OBJECT_STORE_SECRET = "turnout-s3"  # noqa: S105 - likewise
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@dataclass(frozen=True)
class Addresses:
    """Where the parts answer."""

    gateway_url: str
    domain: str
    ledger_url: str
    ledger_token: str
    mlflow_uri: str
    artifacts_url: str
    kfp_url: str = ""
    pipeline_image: str = ""


def discover(kube: Kube) -> Addresses:
    """Read the addresses; settings from the environment win over the ConfigMap.

    Whoever has them may use them: names under `localhost` are resolved from then on.

    Raises:
        Unavailable: the API server does not answer, or Turnout is not installed there.
    """
    data = _configuration(kube)
    resolving.teach()
    return Addresses(
        gateway_url=settings.read("TURNOUT_GATEWAY_URL") or data.get("gatewayUrl", ""),
        domain=data.get("domain", "localhost"),
        ledger_url=settings.read("TURNOUT_LEDGER_URL") or data.get("ledgerUrl", ""),
        ledger_token=ledger_token(kube),
        mlflow_uri=settings.read("TURNOUT_MLFLOW_URI") or data.get("mlflowUri", ""),
        artifacts_url=settings.read("TURNOUT_ARTIFACTS_URL") or data.get("artifactsUrl", ""),
        kfp_url=settings.read("TURNOUT_KFP_URL") or data.get("kfpUrl", ""),
        pipeline_image=data.get("pipelineImage", ""),
    )


def object_store(kube: Kube, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the environment lacks to reach the cluster's object store: its address, and the keys of its Secret.

    Empty where artifacts are files, and for whoever brings keys along.
    """
    endpoint = _configuration(kube).get("s3Endpoint", "")
    if not endpoint or _KEYS[0] in environment:
        return {}
    data = kube.get("Secret", OBJECT_STORE_SECRET, namespace=SYSTEM_NAMESPACE).get("data") or {}
    found = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1"}
    return {**found, **{key: base64.b64decode(data.get(key, "")).decode() for key in _KEYS}}


def _configuration(kube: Kube) -> dict[str, str]:
    try:
        return dict(kube.get("ConfigMap", CONFIG_MAP, namespace=SYSTEM_NAMESPACE).get("data") or {})
    except NotFound as error:
        raise Unavailable(
            f"the cluster at {kube.server} has no ConfigMap {SYSTEM_NAMESPACE}/{CONFIG_MAP}: "
            "Turnout is not installed there"
        ) from error


def ledger_token(kube: Kube) -> str:
    """The ledger's token as it is now: Kubernetes renews the one in a Pod's file."""
    file = settings.read("TURNOUT_LEDGER_TOKEN_FILE")
    if file:
        return Path(file).read_text().strip()
    secret = kube.get("Secret", LEDGER_SECRET, namespace=SYSTEM_NAMESPACE)
    return base64.b64decode((secret.get("data") or {}).get("token", "")).decode()
