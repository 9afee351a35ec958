"""What an InferenceService owns, in the store: written only where it differs, deleted only where it is there."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Any

from turnout.embedded.serving import deployments, workloads
from turnout.embedded.store import AlreadyExists, Key, Store
from turnout.errors import NotFound
from turnout.kube.inferenceservices import service_name

__all__ = ["KINDS", "Owned"]

Object = dict[str, Any]

KINDS = ("HTTPRoute", "HorizontalPodAutoscaler", "Deployment", "Service")  # in the order in which they are taken away

_OWNER = "InferenceService"


class Owned:
    """The objects of InferenceServices."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, kind: str, name: str, namespace: str) -> Object | None:
        """One object; None when it is not there."""
        try:
            return self._store.get(kind, name, namespace)
        except NotFound:
            return None

    def of(self, kind: str, isvc: Object) -> list[Object]:
        """All objects of a kind that belong to an InferenceService."""
        name, namespace = isvc["metadata"]["name"], isvc["metadata"]["namespace"]
        if kind == "HTTPRoute":  # KServe gives them no label, but always these names
            found = [self.find(kind, route, namespace) for route in (name, service_name(name))]
        else:
            found = [*self._store.list(kind, namespace, labels={workloads.LABEL: name})]
        return [obj for obj in found if obj is not None and _is_of(obj, isvc)]

    def pods(self, isvc: Object, workload: str = "") -> list[Object]:
        """Its pods, or those of one workload."""
        labels = {workloads.LABEL: isvc["metadata"]["name"], **({"app": f"isvc.{workload}"} if workload else {})}
        return self._store.list("Pod", isvc["metadata"]["namespace"], labels=labels)

    def apply(self, kind: str, wanted: Object) -> Object:
        """Create an object, or put back what somebody changed in it."""
        metadata = wanted["metadata"]

        def change(current: Object) -> Object:
            kept = {key: value for key, value in current["metadata"].items() if key not in ("labels", "annotations")}
            status = {"status": current["status"]} if "status" in current else {}
            return {**wanted, **status, "metadata": {**kept, **metadata}}

        if self.find(kind, metadata["name"], metadata["namespace"]) is None:
            with contextlib.suppress(AlreadyExists):
                return self._store.create(kind, wanted)
        return self._store.mutate(kind, metadata["name"], metadata["namespace"], change)

    def apply_deployment(self, wanted: Object) -> Object:
        """A Deployment, its template numbered."""
        current = self.find("Deployment", wanted["metadata"]["name"], wanted["metadata"]["namespace"])
        return self.apply("Deployment", deployments.with_revision(current, wanted))

    def delete(self, kind: str, isvc: Object, *, names: Collection[str] | None = None) -> None:
        """Delete its objects of a kind, or those of these names."""
        namespace = isvc["metadata"]["namespace"]
        found = self.of(kind, isvc) if names is None else [self.find(kind, name, namespace) for name in names]
        for obj in found:
            if obj is not None and _is_of(obj, isvc):
                with contextlib.suppress(NotFound):
                    self._store.delete(kind, obj["metadata"]["name"], namespace)

    def delete_leftovers(self, namespace: str, name: str) -> None:
        """What an InferenceService left that went without us: somebody took our finalizer away."""
        for kind in KINDS:
            for obj in self._store.list(kind, namespace):
                if any(entry["kind"] == _OWNER and entry["name"] == name for entry in _owners(obj)):
                    with contextlib.suppress(NotFound):
                        self._store.delete(kind, obj["metadata"]["name"], namespace)

    def owners(self, changed: Key) -> list[Key]:
        """The InferenceServices that an object belongs to, or belonged to when it is gone."""
        kind, namespace, name = changed
        obj = self.find(kind, name, namespace)
        if obj is not None:
            labelled = (obj["metadata"].get("labels") or {}).get(workloads.LABEL)
            named = [labelled] if labelled else [entry["name"] for entry in _owners(obj) if entry["kind"] == _OWNER]
        else:
            named = self._by_name(namespace, deployments.deployment_of(name) if kind == "Pod" else name)
        return [(_OWNER, namespace, owner) for owner in named]

    def _by_name(self, namespace: str, workload: str) -> list[str]:
        """Whose workload this may have been: fig-v2-predictor is fig's canary v2, or that of fig-v2."""
        words = workload.removesuffix(service_name("")).split("-")
        possible = ["-".join(words[:count]) for count in range(len(words), 0, -1)]
        return [name for name in possible if self.find(_OWNER, name, namespace) is not None]


def _is_of(obj: Object, isvc: Object) -> bool:
    return any(entry.get("uid") == isvc["metadata"]["uid"] for entry in _owners(obj))


def _owners(obj: Object) -> list[Object]:
    return list(obj["metadata"].get("ownerReferences") or ())
