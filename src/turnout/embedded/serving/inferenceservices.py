"""InferenceService -> Deployments, Services, HTTPRoutes and status: KServe's controller in Standard mode.

Where KServe's order of steps drops requests, ours does not: what serves is ready before it gets traffic, and out of
the gateway before it ends. So a promotion moves the routes first, waits until the gateway has them, and only then takes
the old predictor away.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turnout.embedded import events
from turnout.embedded.serving import isvcstatus, owned, podspecs, runtimes, storage, variants, workloads
from turnout.embedded.serving.isvcstatus import Blocked
from turnout.embedded.serving.variants import Variant
from turnout.embedded.store import Key, Store
from turnout.errors import NotFound, SpecError
from turnout.kube.inferenceservices import condition

__all__ = ["FINALIZER", "InferenceServiceReconciler"]

Object = dict[str, Any]

FINALIZER = "inferenceservice.finalizers"
_OF_GARBAGE_COLLECTION = ("foregroundDeletion", "orphan")
STOP = "serving.kserve.io/stop"

_KIND = "InferenceService"
_MODE = "serving.kserve.io/deploymentMode"
_AUTOSCALER = "serving.kserve.io/autoscalerClass"
_LONGEST_LABEL = 63


@dataclass(frozen=True)
class _Placed:
    """A canary and what became of it; without a Deployment none could be made."""

    variant: Variant
    deployment: Object | None

    @property
    def replicas(self) -> int:
        return int(self.deployment["spec"]["replicas"]) if self.deployment is not None else 0

    @property
    def is_ready(self) -> bool:
        """KServe's rule: one pod that answers is enough."""
        return bool(((self.deployment or {}).get("status") or {}).get("availableReplicas"))


class InferenceServiceReconciler:
    """Level-triggered; every look rebuilds what should be and writes only what differs."""

    def __init__(self, store: Store, *, domain: str) -> None:
        self._store, self._domain = store, domain
        self._owned = owned.Owned(store)

    def keys(self) -> list[Key]:
        """All InferenceServices, and those whose Deployments are left."""
        services = [
            (_KIND, isvc["metadata"]["namespace"], isvc["metadata"]["name"]) for isvc in self._store.list(_KIND)
        ]
        made = [key for obj in self._store.list("Deployment") for key in self.affected(_key("Deployment", obj))]
        return list(dict.fromkeys([*services, *made]))

    def affected(self, changed: Key) -> list[Key]:
        """The InferenceService that an object is, belongs to, or might be served by."""
        if changed[0] == _KIND:
            return [changed]
        if changed[0] in (*owned.KINDS, "Pod"):
            return self._owned.owners(changed)
        return self.keys() if changed[0] in ("ServingRuntime", "ClusterServingRuntime") else []

    def reconcile(self, key: Key) -> float | None:
        """Bring one InferenceService closer to its spec."""
        _, namespace, name = key
        isvc = self._owned.find(_KIND, name, namespace)
        if isvc is None:
            self._owned.delete_leftovers(namespace, name)
            return None
        if "deletionTimestamp" in isvc["metadata"]:
            if not _is_held(isvc):
                self._delete(isvc)
            return None
        isvc = self._adopt(isvc)
        if (isvc["metadata"].get("annotations") or {}).get(STOP) == "true":
            self._tear_down(isvc)
            self._write_status(isvc, isvcstatus.stopped(isvc))
            return None
        plan = self._plan(isvc, variants.stable(isvc))
        if isinstance(plan, Blocked):
            self._write_status(isvc, isvcstatus.blocked(isvc, plan))
            return None
        self._serve(isvc, plan)
        return None

    def note_failure(self, key: Key, error: Exception) -> None:
        """A look that failed unexpectedly shows as an Event, as in KServe."""
        isvc = self._owned.find(_KIND, key[2], key[1])
        if isvc is not None:
            self._tell(isvc, "Warning", "InternalError", f"{type(error).__name__}: {error}")

    # Deciding

    def _plan(self, isvc: Object, variant: Variant) -> runtimes.Choice | Blocked | None:
        """The runtime that serves, or why none can; None for a predictor with its own container."""
        for hindrance in (_too_long(isvc, variant, self._domain), _unserved_part(isvc), _unserved_storage(variant)):
            if hindrance is not None:
                return hindrance
        if podspecs.is_custom(variant.predictor):
            return None
        choice = runtimes.choose(
            podspecs.model_of(variant.predictor),
            namespaced=self._store.list("ServingRuntime", isvc["metadata"]["namespace"]),
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
        placed = [
            self._place_canary(isvc, variant, spec)
            for variant, spec in zip(variants.canaries(isvc), isvc["spec"].get("canary") or (), strict=True)
        ]
        stable = variants.stable(isvc)
        ready = [canary.replicas for canary in placed if canary.is_ready]
        try:
            deployment = self._place(isvc, stable, choice, replicas=variants.stable_replicas(isvc, ready))
        except SpecError as error:
            refusal = runtimes.Refusal(reason="InvalidPredictorSpec", message=str(error))
            self._write_status(isvc, isvcstatus.blocked(isvc, Blocked.by_runtime(refusal)))
            return
        self._route(isvc, deployment, placed)
        self._retire(isvc, {stable.workload, *(canary.variant.workload for canary in placed)})
        self._write_status(isvc, isvcstatus.serving(isvc, self._view(isvc, choice, deployment, placed)))

    def _place_canary(self, isvc: Object, variant: Variant, spec: Object) -> _Placed:
        """A canary that cannot be made is one that is not ready; KServe would leave the stable one undone as well."""
        plan = self._plan(isvc, variant)
        if isinstance(plan, Blocked):
            return _Placed(variant, None)
        try:
            return _Placed(variant, self._place(isvc, variant, plan, replicas=variants.replicas(isvc, spec)))
        except SpecError:
            return _Placed(variant, None)

    def _place(self, isvc: Object, variant: Variant, choice: runtimes.Choice | None, *, replicas: int) -> Object:
        """Deployment, Service and autoscaler of one predictor; the Deployment as it is now."""
        wanted = workloads.deployment(isvc, variant, choice, replicas=replicas)
        deployment = self._owned.apply_deployment(wanted)
        self._owned.apply("Service", workloads.service(isvc, wanted))
        if (isvc["metadata"].get("annotations") or {}).get(_AUTOSCALER, "hpa") == "hpa":
            most = variant.predictor.get("maxReplicas") or 0 if variant.percent is None else 0
            self._owned.apply("HorizontalPodAutoscaler", workloads.autoscaler(isvc, wanted, most=most))
        else:
            self._owned.delete("HorizontalPodAutoscaler", isvc, names={variant.workload})
        return deployment

    def _route(self, isvc: Object, deployment: Object, placed: Sequence[_Placed]) -> None:
        """Give each predictor its share; a stable one that is new gets it when it can carry it."""
        name, namespace = deployment["metadata"]["name"], isvc["metadata"]["namespace"]
        current = self._owned.find("HTTPRoute", isvc["metadata"]["name"], namespace)
        is_known = current is not None and next(iter(_backends(current)), "") == name
        if not is_known and not _is_available(deployment):
            return
        shares = {canary.variant.workload: canary.variant.percent or 0 for canary in placed if canary.is_ready}
        weights = {name: 100 - sum(shares.values()), **shares} if placed else {name: 1}
        for route in workloads.routes(isvc, self._domain, weights):
            self._owned.apply("HTTPRoute", route)

    def _retire(self, isvc: Object, wanted: set[str]) -> None:
        """Take away predictors that are no longer in the spec, once the gateway leads nobody to them."""
        routes = self._owned.of("HTTPRoute", isvc)
        if not all(_is_taken(route) for route in routes):
            return  # the gateway's word on them brings us back here
        routed = {backend for route in routes for backend in _backends(route)}
        for kind in ("HorizontalPodAutoscaler", "Service", "Deployment"):
            gone = {obj["metadata"]["name"] for obj in self._owned.of(kind, isvc)} - wanted - routed
            self._owned.delete(kind, isvc, names=gone)

    def _view(
        self, isvc: Object, choice: runtimes.Choice | None, deployment: Object, placed: Sequence[_Placed]
    ) -> isvcstatus.View:
        namespace = isvc["metadata"]["namespace"]
        hosts = workloads.domain_names(isvc, self._domain)
        found = self._owned.pods(isvc, deployment["metadata"]["name"])
        pods = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        pods.sort(key=lambda pod: int(pod["metadata"]["resourceVersion"]), reverse=True)
        pods.sort(key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)
        return isvcstatus.View(
            choice=choice,
            deployment=deployment,
            pods=pods,
            routes={route: self._owned.find("HTTPRoute", route, namespace) for route in hosts},
            hosts=hosts,
            domain=self._domain,
            canaries={
                canary.variant.name: isvcstatus.CanaryState(
                    percent=canary.variant.percent or 0, is_ready=canary.is_ready
                )
                for canary in placed
            },
        )

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

    def _delete(self, isvc: Object) -> None:
        if self._tear_down(isvc):

            def change(current: Object) -> Object:
                kept = [name for name in current["metadata"].get("finalizers", ()) if name != FINALIZER]
                return {**current, "metadata": {**current["metadata"], "finalizers": kept}}

            with contextlib.suppress(NotFound):
                self._store.mutate(_KIND, isvc["metadata"]["name"], isvc["metadata"]["namespace"], change)

    def _tear_down(self, isvc: Object) -> bool:
        """Remove what was made for it, hosts first, Services last; whether nothing is left.

        Its pods leave the gateway before their processes end (`pods`), so requests on their way are answered.
        """
        for kind in ("HTTPRoute", "HorizontalPodAutoscaler", "Deployment"):
            self._owned.delete(kind, isvc)
        if self._owned.pods(isvc):
            return False
        self._owned.delete("Service", isvc)
        return True


def _key(kind: str, obj: Object) -> Key:
    return (kind, obj["metadata"]["namespace"], obj["metadata"]["name"])


def _backends(route: Object) -> list[str]:
    """The Services that a route leads to."""
    return [ref["name"] for rule in route["spec"].get("rules") or () for ref in rule.get("backendRefs") or ()]


def _is_taken(route: Object) -> bool:
    """Whether every Gateway of a route has taken its present generation."""
    parents = (route.get("status") or {}).get("parents") or ()
    seen = [entry["observedGeneration"] for parent in parents for entry in parent["conditions"]]
    return all(generation == route["metadata"]["generation"] for generation in seen)


def _is_available(deployment: Object) -> bool:
    is_current = (deployment.get("status") or {}).get("observedGeneration") == deployment["metadata"]["generation"]
    return is_current and condition(deployment, "Available").get("status") == "True"


def _too_long(isvc: Object, variant: Variant, domain: str) -> Blocked | None:
    """The predictor's host begins with one label that must not be longer than DNS allows."""
    label = f"{variant.workload}-{isvc['metadata']['namespace']}"
    if len(label) <= _LONGEST_LABEL:
        return None
    message = (
        "fails to create NewRawKubeReconciler for predictor: failed creating host name: invalid domain name "
        f'"{label}.{domain}": url: Invalid value: "{label}": must be no more than {_LONGEST_LABEL} characters'
    )
    return Blocked.because(reason="ReconcileFailed", message=message)


def _unserved_part(isvc: Object) -> Blocked | None:
    """A predictor alone would answer without what should stand before or beside it, and nobody would notice."""
    spec = isvc["spec"]
    parts = {"transformer": spec, "explainer": spec, "workerSpec": spec["predictor"]}
    found = next((part for part, holder in parts.items() if holder.get(part) is not None), None)
    if found is None:
        return None
    text = f"{found} is not served by this engine, which runs predictors only"
    return Blocked.because(reason="ComponentNotSupported", message=text)


def _unserved_storage(variant: Variant) -> Blocked | None:
    """A scheme that KServe does not know leaves PredictorReady Unknown there, without a word; here it says why."""
    uri = workloads.storage_uri(variant.predictor)
    for field, holder in (("storageUris", variant.predictor), ("storage", podspecs.model_of(variant.predictor))):
        if holder.get(field):
            text = f"{field} is not served by this engine: give the model's place as storageUri"
            return Blocked.because(reason="StorageNotSupported", message=text)
    scheme = storage.scheme_of(uri)
    if not uri or scheme in storage.SERVED:
        return None
    message = (
        f"storageUri {uri}: scheme {scheme or 'none'} is not served by this engine ({', '.join(storage.SERVED)} are)"
    )
    status = "False" if scheme in storage.KNOWN_TO_KSERVE else "Unknown"
    return Blocked.because(reason="StorageNotSupported", message=message, status=status)


def _is_held(isvc: Object) -> bool:
    """Whether somebody else's finalizer keeps it: KServe lets its owned objects go with the object, not before."""
    return any(f not in (FINALIZER, *_OF_GARBAGE_COLLECTION) for f in isvc["metadata"].get("finalizers") or ())
