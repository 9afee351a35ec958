"""What the API server does to an object's metadata, whoever sends it: identity, versions, generation, deletion.

Pure functions over objects; the store calls them inside its transactions.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from turnout.embedded.kinds import Kind

__all__ = ["born", "changed", "dying", "is_gone", "namespace_of", "now", "same"]

Object = dict[str, Any]

# A client may send these back, but never change them.
_SERVER_OWNED = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "name",
    "namespace",
)


def now() -> str:
    """This second, as Kubernetes writes instants."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def namespace_of(obj: Object) -> str:
    """The namespace, or an empty text for what has none."""
    return obj["metadata"].get("namespace") or ""


def born(kind: Kind, obj: Object) -> Object:
    """A new object as it is stored, still without a resourceVersion."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in ("resourceVersion", "selfLink")}
    metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
    metadata.pop("deletionTimestamp", None)
    if not kind.namespaced:
        metadata.pop("namespace", None)
    if kind.counts_generations:
        metadata["generation"] = 1
    else:
        metadata.pop("generation", None)
    return {"apiVersion": kind.api_version, "kind": kind.kind, **_rest(obj), "metadata": metadata}


def changed(kind: Kind, current: Object, wanted: Object, *, status: bool) -> Object:
    """What an update stores: `status` writes only the status, other writes everything but the status.

    The engine writes its views whole; what a client may write of them is the API's business.
    """
    if status:
        wanted = _only_status(current, wanted)
    metadata = {key: value for key, value in wanted["metadata"].items() if key not in _SERVER_OWNED}
    metadata |= {key: current["metadata"][key] for key in _SERVER_OWNED if key in current["metadata"]}
    result = {"apiVersion": kind.api_version, "kind": kind.kind, **_rest(wanted), "metadata": metadata}
    if kind.has_status and not status and not kind.is_view:
        result.pop("status", None)
        if "status" in current:
            result["status"] = current["status"]
    if kind.counts_generations and _counted(current) != _counted(result):
        metadata["generation"] = metadata.get("generation", 0) + 1
    return result


def _only_status(current: Object, wanted: Object) -> Object:
    metadata = dict(current["metadata"])
    for key in ("managedFields", "resourceVersion"):
        if key in wanted["metadata"]:
            metadata[key] = wanted["metadata"][key]
    result = {**current, "metadata": metadata}
    result.pop("status", None)
    return {**result, "status": wanted["status"]} if "status" in wanted else result


def dying(current: Object, *, finalizers: tuple[str, ...] = ()) -> Object:
    """The object once somebody asked to delete it; it stays while it has finalizers."""
    metadata = dict(current["metadata"])
    kept = list(dict.fromkeys([*metadata.get("finalizers", ()), *finalizers]))
    if kept:
        metadata["finalizers"] = kept
    if "deletionTimestamp" not in metadata:
        metadata |= {"deletionTimestamp": now(), "deletionGracePeriodSeconds": 0}
        if "generation" in metadata:
            metadata["generation"] += 1
    result = {**current, "metadata": metadata}
    if current.get("kind") == "Namespace":
        result["status"] = {**current.get("status", {}), "phase": "Terminating"}
    return result


def is_gone(obj: Object) -> bool:
    """Whether nothing holds a deleted object any more."""
    held = obj["metadata"].get("finalizers") or (_is_namespace(obj) and obj.get("spec", {}).get("finalizers"))
    return "deletionTimestamp" in obj["metadata"] and not held


def same(one: Object, other: Object) -> bool:
    """Whether two states differ in nothing that a client wrote; the time of a field's owner is no difference."""
    return _comparable(one) == _comparable(other)


def _is_namespace(obj: Object) -> bool:
    return obj.get("kind") == "Namespace"


def _rest(obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata")}


def _counted(obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata", "status")}


def _comparable(obj: Object) -> Object:
    metadata = {key: value for key, value in obj["metadata"].items() if key not in ("resourceVersion", "managedFields")}
    fields = [{**entry, "time": ""} for entry in obj["metadata"].get("managedFields", ())]
    return {**obj, "metadata": metadata, "managedFields": fields}
