"""InferenceService -> Deployment, Service, HTTPRoutes and status: KServe's controller in Standard mode.

Where KServe's order of steps drops requests, ours does not: what serves is ready before it gets traffic, and out of
the gateway before it ends.
"""

from __future__ import annotations

import contextlib
from typing import Any

from turnout.embedded import events
from turnout.embedded.serving import deployments, isvcstatus, podspecs, runtimes, storage, workloads
from turnout.embedded.serving.isvcstatus import Blocked
from turnout.embedded.store import AlreadyExists, Key, Store
from turnout.errors import NotFound, SpecError
from turnout.kube.inferenceservices import condition, service_name

__all__ = ["FINALIZER", "InferenceServiceReconciler"]

Object = dict[str, Any]

FINALIZER = "inferenceservice.finalizers"
STOP = "serving.kserve.io/stop"

_KIND = "InferenceService"
_MODE = "serving.kserve.io/deploymentMode"
_LONGEST_LABEL = 63


class InferenceServiceReconciler:
    """Level-triggered; every look rebuilds what should be and writes only what differs."""

    def __init__(self, store: Store, *, domain: str) -> None:
        self._store, self._domain = store, domain

    def keys(self) -> list[Key]:
        """All InferenceServices, and those whose Deployments are left."""
        services = [
            (_KIND, isvc["metadata"]["namespace"], isvc["metadata"]["name"]) for isvc in self._store.list(_KIND)
        ]
        made = [key for obj in self._store.list("Deployment") for key in self.affected(_key("Deployment", obj))]
        return list(dict.fromkeys([*services, *made]))

    def affected(self, changed: Key) -> list[Key]:
        """The InferenceService that an object is, belongs to, or might be served by."""
        kind, namespace, name = changed
        if kind == _KIND:
            return [changed]
        if kind in ("Deployment", "Service"):
            return [(_KIND, namespace, workloads.isvc_of(name))]
        if kind == "HTTPRoute":
            return [(_KIND, namespace, name), (_KIND, namespace, workloads.isvc_of(name))]
        if kind == "Pod":
            return [(_KIND, namespace, workloads.isvc_of(deployments.deployment_of(name)))]
        return self.keys() if kind in ("ServingRuntime", "ClusterServingRuntime") else []

    def reconcile(self, key: Key) -> float | None:
        """Bring one InferenceService closer to its spec."""
        _, namespace, name = key
        try:
            isvc = self._store.get(_KIND, name, namespace)
        except NotFound:
            self._delete_leftovers(namespace, name)
            return None
        if "deletionTimestamp" in isvc["metadata"]:
            return self._delete(isvc)
        isvc = self._adopt(isvc)
        if (isvc["metadata"].get("annotations") or {}).get(STOP) == "true":
            self._tear_down(isvc)
            self._write_status(isvc, isvcstatus.stopped(isvc))
            return None
        plan = self._plan(isvc)
        if isinstance(plan, Blocked):
            self._write_status(isvc, isvcstatus.blocked(isvc, plan))
            return None
        self._serve(isvc, plan)
        return None

    def note_failure(self, key: Key, error: Exception) -> None:
        """A look that failed unexpectedly shows as an Event, as in KServe."""
        isvc = self._find(_KIND, key[2], key[1])
        if isvc is not None:
            self._tell(isvc, "Warning", "InternalError", f"{type(error).__name__}: {error}")

    # Deciding

    def _plan(self, isvc: Object) -> runtimes.Choice | Blocked | None:
        """The runtime that serves, or why none can; None for a predictor with its own container."""
        for hindrance in (_too_long(isvc, self._domain), _unserved_storage(isvc)):
            if hindrance is not None:
                return hindrance
        predictor, namespace = isvc["spec"]["predictor"], isvc["metadata"]["namespace"]
        if podspecs.is_custom(predictor):
            return None
        choice = runtimes.choose(
            podspecs.model_of(predictor),
            namespaced=self._store.list("ServingRuntime", namespace),
            cluster=self._store.list("ClusterServingRuntime"),
        )
        return Blocked.by_runtime(choice) if isinstance(choice, runtimes.Refusal) else choice

    # Acting

    def _adopt(self, isvc: Object) -> Object:
        """Our finalizer, and the annotations that KServe's webhook writes."""
        model_format = (podspecs.model_of(isvc["spec"]["predictor"]).get("modelFormat") or {}).get("name")

        def change(current: Object) -> Object:
            metadata = dict(current["metadata"])
            metadata["finalizers"] = list(dict.fromkeys([*metadata.get("finalizers", ()), FINALIZER]))
            defaults = {_MODE: "Standard", **({"modelFormat": model_format} if model_format else {})}
            metadata["annotations"] = {**defaults, **(metadata.get("annotations") or {})}
            return {**current, "metadata": metadata}

        return self._store.mutate(_KIND, isvc["metadata"]["name"], isvc["metadata"]["namespace"], change)

    def _serve(self, isvc: Object, choice: runtimes.Choice | None) -> None:
        try:
            wanted = workloads.deployment(isvc, choice)
        except SpecError as error:
            refusal = runtimes.Refusal(reason="InvalidPredictorSpec", message=str(error))
            self._write_status(isvc, isvcstatus.blocked(isvc, Blocked.by_runtime(refusal)))
            return
        deployment = self._apply_deployment(wanted)
        self._apply("Service", workloads.service(isvc, wanted))
        view = self._view(isvc, choice, deployment)
        status = isvcstatus.serving(isvc, view)
        if condition({"status": status}, "PredictorReady").get("status") == "True":
            for route in workloads.routes(isvc, self._domain):
                self._apply("HTTPRoute", route)
            status = isvcstatus.serving(isvc, self._view(isvc, choice, deployment))
        self._write_status(isvc, status)

    def _view(self, isvc: Object, choice: runtimes.Choice | None, deployment: Object) -> isvcstatus.View:
        name, namespace = isvc["metadata"]["name"], isvc["metadata"]["namespace"]
        hosts = workloads.domain_names(isvc, self._domain)
        pods = [pod for pod in self._pods(namespace, name) if "deletionTimestamp" not in pod["metadata"]]
        pods.sort(key=lambda pod: int(pod["metadata"]["resourceVersion"]), reverse=True)
        pods.sort(key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)
        routes = {route: self._find("HTTPRoute", route, namespace) for route in hosts}
        return isvcstatus.View(choice=choice, deployment=deployment, pods=pods, routes=routes, hosts=hosts)

    def _apply_deployment(self, wanted: Object) -> Object:
        metadata = wanted["metadata"]
        current = self._find("Deployment", metadata["name"], metadata["namespace"])
        return self._apply("Deployment", deployments.with_revision(current, wanted))

    def _apply(self, kind: str, wanted: Object) -> Object:
        """Create an object, or put back what somebody changed in it."""
        metadata = wanted["metadata"]

        def change(current: Object) -> Object:
            kept = {key: value for key, value in current["metadata"].items() if key not in ("labels", "annotations")}
            status = {"status": current["status"]} if "status" in current else {}
            return {**wanted, **status, "metadata": {**kept, **metadata}}

        if self._find(kind, metadata["name"], metadata["namespace"]) is None:
            with contextlib.suppress(AlreadyExists):
                return self._store.create(kind, wanted)
        return self._store.mutate(kind, metadata["name"], metadata["namespace"], change)

    def _write_status(self, isvc: Object, status: Object) -> None:
        name, namespace = isvc["metadata"]["name"], isvc["metadata"]["namespace"]
        was = condition(isvc, "Ready").get("status")

        def change(current: Object) -> Object:
            return {**current, "status": isvcstatus.with_times(status, current.get("status"))}

        with contextlib.suppress(NotFound):
            self._store.mutate(_KIND, name, namespace, change, status=True)
        becomes = condition({"status": status}, "Ready").get("status")
        if becomes == "True" and was != "True":
            self._tell(isvc, "Normal", "InferenceServiceReady", f"InferenceService [{name}] is Ready")
        elif becomes == "False" and was == "True":
            self._tell(isvc, "Warning", "InferenceServiceNotReady", f"InferenceService [{name}] is no longer Ready")

    def _tell(self, isvc: Object, kind: str, reason: str, message: str) -> None:
        events.tell(self._store, isvc, kind=kind, reason=reason, message=message, component="v1beta1Controllers")

    # Ending

    def _delete(self, isvc: Object) -> float | None:
        if self._tear_down(isvc):

            def change(current: Object) -> Object:
                kept = [name for name in current["metadata"].get("finalizers", ()) if name != FINALIZER]
                return {**current, "metadata": {**current["metadata"], "finalizers": kept}}

            with contextlib.suppress(NotFound):
                self._store.mutate(_KIND, isvc["metadata"]["name"], isvc["metadata"]["namespace"], change)
        return None

    def _tear_down(self, isvc: Object) -> bool:
        """Remove what was made for it, hosts first, Service last; whether nothing is left.

        Its pods leave the gateway before their processes end (`pods`), so requests on their way are answered.
        """
        name, namespace = isvc["metadata"]["name"], isvc["metadata"]["namespace"]
        for kind, child in (("HTTPRoute", name), ("HTTPRoute", service_name(name)), ("Deployment", service_name(name))):
            found = self._find(kind, child, namespace)
            if found is not None and _is_owned(found, isvc):
                with contextlib.suppress(NotFound):
                    self._store.delete(kind, child, namespace)
        if self._pods(namespace, name):
            return False
        with contextlib.suppress(NotFound):
            self._store.delete("Service", service_name(name), namespace)
        return True

    def _delete_leftovers(self, namespace: str, name: str) -> None:
        """What an InferenceService left that went without us: somebody took our finalizer away."""
        for kind in ("Deployment", "Service"):
            found = self._find(kind, service_name(name), namespace)
            owners = (found or {}).get("metadata", {}).get("ownerReferences") or ()
            if any(owner["kind"] == _KIND and owner["name"] == name for owner in owners):
                with contextlib.suppress(NotFound):
                    self._store.delete(kind, service_name(name), namespace)

    def _pods(self, namespace: str, name: str) -> list[Object]:
        return self._store.list("Pod", namespace, labels={workloads.LABEL: name})

    def _find(self, kind: str, name: str, namespace: str) -> Object | None:
        try:
            return self._store.get(kind, name, namespace)
        except NotFound:
            return None


def _key(kind: str, obj: Object) -> Key:
    return (kind, obj["metadata"]["namespace"], obj["metadata"]["name"])


def _is_owned(obj: Object, isvc: Object) -> bool:
    return any(owner.get("uid") == isvc["metadata"]["uid"] for owner in obj["metadata"].get("ownerReferences") or ())


def _too_long(isvc: Object, domain: str) -> Blocked | None:
    """The predictor's host begins with one label that must not be longer than DNS allows."""
    name, namespace = isvc["metadata"]["name"], isvc["metadata"]["namespace"]
    label = f"{service_name(name)}-{namespace}"
    if len(label) <= _LONGEST_LABEL:
        return None
    message = (
        "fails to create NewRawKubeReconciler for predictor: failed creating host name: invalid domain name "
        f'"{label}.{domain}": url: Invalid value: "{label}": must be no more than {_LONGEST_LABEL} characters'
    )
    return Blocked.because(reason="ReconcileFailed", message=message)


def _unserved_storage(isvc: Object) -> Blocked | None:
    """A scheme that KServe does not know leaves PredictorReady Unknown there, without a word; here it says why."""
    uri = workloads.storage_uri(isvc)
    scheme = storage.scheme_of(uri)
    if not uri or scheme in storage.SERVED:
        return None
    message = (
        f"storageUri {uri}: scheme {scheme or 'none'} is not served by this engine ({', '.join(storage.SERVED)} are)"
    )
    status = "False" if scheme in storage.KNOWN_TO_KSERVE else "Unknown"
    return Blocked.because(reason="StorageNotSupported", message=message, status=status)
