"""Shadows in the route: only while they are ready, and out of it before their InferenceService goes.

On a real gateway a mirror to a Service that is not there answers every request of the rule with 500. So a version that
is mirrored carries a finalizer: who deletes it waits until the route has let go of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.controller.observing import Turn, World
from turnout.kube import httproutes
from turnout.kube.client import Kube

__all__ = ["guard", "mirrored", "release", "release_orphans"]

_FINALIZER = "turnout.dev/mirrored-by-"


def mirrored(turn: Turn, world: World) -> tuple[str, ...]:
    """The shadows that the route may name now."""
    ready = world.ready(turn.namespace)
    return tuple(v for v in turn.spec.shadows if v in ready and v not in turn.rollout.served)


def guard(turn: Turn, world: World, kube: Kube) -> None:
    """Put the finalizer on every version that is about to be mirrored."""
    for version in mirrored(turn, world):
        obj = world.versions[turn.namespace, version]
        finalizers = _finalizers(obj)
        if _FINALIZER + turn.name not in finalizers:
            _write(kube, obj, [*finalizers, _FINALIZER + turn.name])


def release(turn: Turn, world: World, kube: Kube) -> None:
    """Take the finalizer from versions that the route, as it was seen, no longer mirrors."""
    actual = world.route(turn)
    kept = {*(httproutes.mirrors(actual) if actual else ()), *mirrored(turn, world)}
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
