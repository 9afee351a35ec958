"""What a namespace that is being deleted says of what is still in it: the conditions of Kubernetes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["remaining", "untimed"]

Object = dict[str, Any]

_DONE = (
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
)


def remaining(kinds: Mapping[str, int], finalizers: Mapping[str, int]) -> list[Object]:
    """The conditions, without their times, while there are so many objects of these resources and finalizers."""
    resources = _listed(f"{name}. has {kinds[name]} resource instances" for name in sorted(kinds))
    held = _listed(f"{name} in {finalizers[name]} resource instances" for name in sorted(finalizers))
    content = f"Some resources are remaining: {resources}"
    holders = f"Some content in the namespace has finalizers remaining: {held}"
    return [
        *({"type": name, "status": "False", "reason": reason, "message": text} for name, reason, text in _DONE),
        _condition("NamespaceContentRemaining", bool(kinds), "SomeResourcesRemain", content),
        _condition("NamespaceFinalizersRemaining", bool(finalizers), "SomeFinalizersRemain", holders),
    ]


def untimed(condition: Object) -> Object:
    """A condition without its time."""
    return {key: value for key, value in condition.items() if key != "lastTransitionTime"}


def _listed(parts: Any) -> str:
    return ", ".join(parts)


def _condition(name: str, holds: bool, reason: str, message: str) -> Object:
    if holds:
        return {"type": name, "status": "True", "reason": reason, "message": message}
    removed = {"NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed")}
    reason, message = removed.get(name, ("ContentHasNoFinalizers", "All content-preserving finalizers finished"))
    return {"type": name, "status": "False", "reason": reason, "message": message}
