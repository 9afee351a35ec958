"""A Kubernetes API for steps: a dictionary of objects with the client's verbs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from turnout.errors import Conflict, Failed, NotFound


class Objects:
    """Objects by kind and name; `ready` says what waiting ends with, `meddle` is done before each patch."""

    def __init__(self, *objects: Mapping[str, Any], ready: bool = True) -> None:
        self.objects = {(obj["kind"], obj["metadata"]["name"]): copy.deepcopy(dict(obj)) for obj in objects}
        self.ready = ready
        self.calls: list[str] = []
        self.conflicts = 0

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> dict[str, Any]:
        if (kind, name) not in self.objects:
            raise NotFound(f"{kind} {namespace}/{name}")
        return copy.deepcopy(self.objects[kind, name])

    def create(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        key = obj["kind"], obj["metadata"]["name"]
        if key in self.objects:
            raise Conflict(f"{key} exists")
        return self._put(obj, "create")

    def apply(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        return self._put(obj, "apply")

    def patch(self, kind: str, name: str, *, namespace: str | None = None, body: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append(f"patch {kind} {name}")
        found = self.objects[kind, name]
        if self.conflicts:
            self.conflicts -= 1
            found["metadata"]["resourceVersion"] += "1"
        if body["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            raise Conflict(f"{name} was changed")
        found["spec"].update(body["spec"])
        return copy.deepcopy(found)

    def wait(
        self, kind: str, name: str, *, namespace: str | None = None, condition: str = "Ready", timeout_s: float = 120.0
    ) -> dict[str, Any]:
        if not self.ready:
            raise Failed(f"{kind} {name} did not reach condition {condition}: PredictorReady=False")
        return self.get(kind, name, namespace=namespace)

    def _put(self, obj: Mapping[str, Any], verb: str) -> dict[str, Any]:
        self.calls.append(f"{verb} {obj['kind']} {obj['metadata']['name']}")
        stored = copy.deepcopy(dict(obj))
        stored["metadata"].setdefault("resourceVersion", "1")
        self.objects[obj["kind"], obj["metadata"]["name"]] = stored
        return copy.deepcopy(stored)


def turnout(*, champion: str = "", challengers: list[str] | None = None) -> dict[str, Any]:
    """A Turnout `digits`."""
    return {
        "kind": "Turnout",
        "metadata": {"name": "digits", "namespace": "default", "resourceVersion": "1"},
        "spec": {"challengers": challengers or []},
        "status": {"champion": champion} if champion else {},
    }


def service(name: str, *, uri: str, digest: str) -> dict[str, Any]:
    """An InferenceService as deploy makes it."""
    return {
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "default", "annotations": {"turnout.dev/digest": digest}},
        "spec": {"predictor": {"model": {"storageUri": uri}}},
    }
