"""The champion of an endpoint, as a model that can be asked: from the Turnout's status to its artifact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from turnout import storage
from turnout.errors import NotFound
from turnout.kube.inferenceservices import DIGEST
from turnout.steps import artifact
from turnout.steps.artifact import Model

if TYPE_CHECKING:
    from turnout.kube.client import Kube

__all__ = ["Champion", "find"]


@dataclass(frozen=True)
class Champion:
    """The version that owns the endpoint; without a `model`, `incomparable` says why it cannot be asked."""

    version: str
    model: Model | None = None
    incomparable: str = ""


def find(kube: Kube, endpoint: str, *, namespace: str, scratch: Path) -> Champion | None:
    """The champion, its artifact fetched to `scratch`; None when the endpoint has none yet.

    Raises:
        ModelError: the champion's artifact is not the registered one: somebody must look before anything is compared.
    """
    try:
        turnout = kube.get("Turnout", endpoint, namespace=namespace)
    except NotFound:
        return None
    version = _text(turnout, "status", "champion")
    if not version:
        return None
    try:
        service = kube.get("InferenceService", version, namespace=namespace)
        url = _text(service, "spec", "predictor", "model", "storageUri")
        storage.at(url).download_folder(scratch)
    except NotFound as error:
        return Champion(version, incomparable=str(error))
    expected = _text(service, "metadata", "annotations", DIGEST)
    return Champion(version, model=artifact.load(scratch, expected=expected))


def _text(obj: object, *path: str) -> str:
    for key in path:
        obj = (obj.get(key) if isinstance(obj, dict) else None) or {}
    return obj if isinstance(obj, str) else ""
