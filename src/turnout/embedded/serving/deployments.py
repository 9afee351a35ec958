"""Deployment -> Pods: makes and ends pods until there are as many of the present template as asked for."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import orjson

from turnout.embedded import objects
from turnout.embedded.serving import fetching, rollouts, workloads
from turnout.embedded.store import AlreadyExists, Key, Store
from turnout.errors import NotFound

__all__ = ["FINALIZER", "DeploymentReconciler", "deployment_of", "with_revision"]

Object = dict[str, Any]

FINALIZER = "turnout.dev/process"  # on every pod: its process is ended before the object goes

# What KServe's webhook for pods says about metrics when nobody asked for them.
_ADDED_TO_PODS = {
    "serving.kserve.io/enable-metric-aggregation": "false",
    "serving.kserve.io/enable-prometheus-scraping": "false",
}
_MODELS, _MODELS_PATH = "kserve-provision-location", "/mnt/models"
_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 (a folder, no secret)
_REVISION = "deployment.kubernetes.io/revision"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def deployment_of(pod_name: str) -> str:
    """The Deployment that a pod of this name would belong to."""
    return pod_name.rsplit("-", 2)[0]


class DeploymentReconciler:
    """Level-triggered: looks at what is, takes one step, and is called again when something has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keys(self) -> list[Key]:
        """Everything to look at when the engine starts: Deployments, and pods whose Deployment may be gone."""
        pods = self._store.list("Pod")
        return [
            *(
                ("Deployment", d["metadata"]["namespace"], d["metadata"]["name"])
                for d in self._store.list("Deployment")
            ),
            *(("Deployment", p["metadata"]["namespace"], deployment_of(p["metadata"]["name"])) for p in pods),
        ]

    def affected(self, changed: Key) -> list[Key]:
        """Which Deployments to look at when an object has changed."""
        kind, namespace, name = changed
        if kind == "Deployment":
            return [changed]
        return [("Deployment", namespace, deployment_of(name))] if kind == "Pod" else []

    def reconcile(self, key: Key) -> float | None:
        """Take the next step for one Deployment; nothing needs to be looked at again by time alone."""
        _, namespace, name = key
        try:
            deployment = self._store.get("Deployment", name, namespace)
        except NotFound:
            self._delete([pod["metadata"]["name"] for pod in self._pods(namespace, name)], namespace)
            return None
        arguments = orjson.loads((deployment["metadata"].get("annotations") or {}).get(workloads.ARGUMENTS, "[]"))
        template_hash = workloads.short_hash([deployment["spec"]["template"], arguments])
        pods = [pod for pod in self._pods(namespace, name) if "deletionTimestamp" not in pod["metadata"]]
        step = rollouts.next_step(pods, template_hash=template_hash, replicas=deployment["spec"]["replicas"])
        for _ in range(step.create):
            self._create(deployment, template_hash, arguments)
        self._delete(step.delete, namespace)
        self._report(deployment, template_hash)
        return None

    def _pods(self, namespace: str, deployment: str) -> list[Object]:
        pods = self._store.list("Pod", namespace, prefix=f"{deployment}-")
        return [pod for pod in pods if deployment_of(pod["metadata"]["name"]) == deployment]

    def _create(self, deployment: Object, template_hash: str, arguments: list[str]) -> None:
        template = deployment["spec"]["template"]
        labels = {**template["metadata"]["labels"], rollouts.HASH: template_hash}
        suffix = "".join(random.choices(_LETTERS, k=5))  # noqa: S311 (a name, no secret)
        name = f"{deployment['metadata']['name']}-{template_hash}-{suffix}"
        annotations = {
            **template["metadata"]["annotations"],
            **_ADDED_TO_PODS,
            **({workloads.ARGUMENTS: orjson.dumps(arguments).decode()} if arguments else {}),
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": deployment["metadata"]["namespace"],
                "labels": labels,
                "annotations": annotations,
                "finalizers": [FINALIZER],
                "ownerReferences": [workloads.owner(deployment)],
            },
            "spec": {**_mounted(template, suffix), "nodeName": "localhost"},
            "status": {"phase": "Pending"},
        }
        with contextlib.suppress(AlreadyExists):  # one name in fourteen million; the next step makes another
            self._store.create("Pod", pod)

    def _delete(self, names: tuple[str, ...] | list[str], namespace: str) -> None:
        for name in names:
            with contextlib.suppress(NotFound):
                self._store.delete("Pod", name, namespace)

    def _report(self, deployment: Object, template_hash: str) -> None:
        name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
        pods = [pod for pod in self._pods(namespace, name) if "deletionTimestamp" not in pod["metadata"]]
        status = rollouts.status(deployment, pods, template_hash=template_hash)

        def change(current: Object) -> Object:
            return {**current, "status": _with_times(status, current.get("status"))}

        with contextlib.suppress(NotFound):
            self._store.mutate("Deployment", name, namespace, change, status=True)


def _next_revision(current: Object | None, wanted: Object) -> str:
    """The number of a Deployment's template: one more with each change."""
    if current is None:
        return "1"
    number = int((current["metadata"].get("annotations") or {}).get(_REVISION, "1"))
    return str(number + (current["spec"]["template"] != wanted["spec"]["template"]))


def with_revision(current: Object | None, wanted: Object) -> Object:
    """The wanted Deployment, its template numbered."""
    metadata = wanted["metadata"]
    annotations = {**metadata["annotations"], _REVISION: _next_revision(current, wanted)}
    return {**wanted, "metadata": {**metadata, "annotations": annotations}}


def _mounted(template: Object, suffix: str) -> Object:
    """The pod as webhooks leave it: the account's token, and for a model from somewhere the step that brings it."""
    spec = template["spec"]
    token = {"name": f"kube-api-access-{suffix}", "readOnly": True, "mountPath": _TOKEN_PATH}
    volumes, mounts = [{"name": token["name"], "projected": {"defaultMode": 420}}], [token]
    uri = (template["metadata"].get("annotations") or {}).get(workloads.SOURCE)
    if uri:
        volumes.append({"name": _MODELS, "emptyDir": {}})
        mounts.append({"name": _MODELS, "readOnly": True, "mountPath": _MODELS_PATH})
    first, *others = spec["containers"]
    return {
        **spec,
        **({"initContainers": [_initializer(uri)]} if uri else {}),
        "containers": [{**first, "volumeMounts": [*(first.get("volumeMounts") or ()), *mounts]}, *others],
        "volumes": [*(spec.get("volumes") or ()), *volumes],
        "serviceAccountName": spec.get("serviceAccountName") or "default",
    }


def _initializer(uri: str) -> Object:
    return {
        "name": fetching.CONTAINER,
        "image": "kserve/storage-initializer",
        "args": [uri, _MODELS_PATH],
        "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "100Mi"}},
        "volumeMounts": [{"name": _MODELS, "mountPath": _MODELS_PATH}],
    }


def _with_times(status: Object, before: Object | None) -> Object:
    old = {entry["type"]: entry for entry in (before or {}).get("conditions") or ()}
    timed = []
    for entry in status["conditions"]:
        was = old.get(entry["type"], {})
        is_same = {key: was.get(key) for key in entry} == entry
        moment = objects.now()
        kept = was.get("lastTransitionTime", moment) if was.get("status") == entry["status"] else moment
        updated = was.get("lastUpdateTime", moment) if is_same else moment
        timed.append({**entry, "lastTransitionTime": kept, "lastUpdateTime": updated})
    return {**status, "conditions": timed}
