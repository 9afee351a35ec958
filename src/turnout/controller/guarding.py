"""Versions in the route do not go before the route has let go of them.

On a real gateway a reference to a Service that is not there costs its share of the requests (as a mirror, all of them)
as 500. So every version that the route names carries a finalizer, as a PersistentVolumeClaim in use does: who deletes
it waits until nobody is sent there any more. Deleting the Turnout lets go of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.controller.observing import Turn, World
from turnout.kube import httproutes
from turnout.kube.client import Kube

__all__ = ["guard", "mirrored", "release", "release_orphans"]

_FINALIZER = "turnout.dev/routed-by-"


def mirrored(turn: Turn, world: World) -> tuple[str, ...]:
    """The shadows that the route may name now."""
    ready = world.ready(turn.namespace)
    return tuple(v for v in turn.spec.shadows if v in ready and v not in turn.rollout.served)


def guard(turn: Turn, world: World, kube: Kube) -> None:
    """Put the finalizer on every version that the route is about to name."""
    for version in (*turn.rollout.served, *mirrored(turn, world)):
        obj = world.versions.get((turn.namespace, version))
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            continue  # nothing can be added any more
        finalizers = _finalizers(obj)
        if _FINALIZER + turn.name not in finalizers:
            _write(kube, obj, [*finalizers, _FINALIZER + turn.name])


def release(turn: Turn, world: World, kube: Kube) -> None:
    """Take the finalizer from versions that the route, as it was seen, no longer names."""
    actual = world.route(turn)
    named = httproutes.named(actual) if actual else frozenset()
    kept = {*named, *turn.rollout.served, *mirrored(turn, world)}
    for (namespace, version), obj in world.versions.items():
        if namespace == turn.namespace and version not in kept:
            _take_off(kube, obj, turn.name)


def release_orphans(world: World, kube: Kube) -> None:
    """Take off the finalizers of Turnouts that are gone; their routes went with them."""
    living = {(t["metadata"]["namespace"], t["metadata"]["name"]) for t in world.turnouts}
    for (namespace, _), obj in world.versions.items():
        for finalizer in _finalizers(obj):
            name = finalizer.removeprefix(_FINALIZER)
            if name != finalizer and (namespace, name) not in living:
                _take_off(kube, obj, name)


def _take_off(kube: Kube, obj: Mapping[str, Any], name: str) -> None:
    finalizers = _finalizers(obj)
    if _FINALIZER + name in finalizers:
        _write(kube, obj, [f for f in finalizers if f != _FINALIZER + name])


def _finalizers(obj: Mapping[str, Any]) -> list[str]:
    return list(obj["metadata"].get("finalizers") or ())


def _write(kube: Kube, obj: Mapping[str, Any], finalizers: list[str]) -> None:
    metadata = obj["metadata"]
    body = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": finalizers}}
    kube.patch("InferenceService", metadata["name"], namespace=metadata["namespace"], body=body)
