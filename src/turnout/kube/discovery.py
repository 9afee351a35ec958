"""How everybody with a kubeconfig finds everything: one ConfigMap and one Secret, the same in both engines."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from turnout import settings
from turnout.errors import NotFound, Unavailable
from turnout.kube.client import Kube

__all__ = ["CONFIG_MAP", "LEDGER_SECRET", "SYSTEM_NAMESPACE", "Addresses", "discover"]

SYSTEM_NAMESPACE = "turnout-system"
CONFIG_MAP = "turnout-config"
LEDGER_SECRET = "turnout-ledger"  # noqa: S105 - the name of the Secret, not its content


@dataclass(frozen=True)
class Addresses:
    """Where the parts answer."""

    gateway_url: str
    domain: str
    ledger_url: str
    ledger_token: str
    mlflow_uri: str
    artifacts_url: str


def discover(kube: Kube) -> Addresses:
    """Read the addresses; settings from the environment win over the ConfigMap.

    Raises:
        Unavailable: the API server does not answer, or Turnout is not installed there.
    """
    try:
        data = kube.get("ConfigMap", CONFIG_MAP, namespace=SYSTEM_NAMESPACE).get("data") or {}
    except NotFound as error:
        raise Unavailable(
            f"the cluster at {kube.server} has no ConfigMap {SYSTEM_NAMESPACE}/{CONFIG_MAP}: "
            "Turnout is not installed there"
        ) from error
    return Addresses(
        gateway_url=settings.read("TURNOUT_GATEWAY_URL") or data.get("gatewayUrl", ""),
        domain=data.get("domain", "localhost"),
        ledger_url=settings.read("TURNOUT_LEDGER_URL") or data.get("ledgerUrl", ""),
        ledger_token=_ledger_token(kube),
        mlflow_uri=settings.read("TURNOUT_MLFLOW_URI") or data.get("mlflowUri", ""),
        artifacts_url=settings.read("TURNOUT_ARTIFACTS_URL") or data.get("artifactsUrl", ""),
    )


def _ledger_token(kube: Kube) -> str:
    file = settings.read("TURNOUT_LEDGER_TOKEN_FILE")
    if file:
        return Path(file).read_text().strip()
    secret = kube.get("Secret", LEDGER_SECRET, namespace=SYSTEM_NAMESPACE)
    return base64.b64decode((secret.get("data") or {}).get("token", "")).decode()
