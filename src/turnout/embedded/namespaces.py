"""What Kubernetes puts into every namespace: the ServiceAccount `default`, and the authority that signs for the API."""

from __future__ import annotations

import contextlib
from typing import Any

from turnout.embedded.store import AlreadyExists, Key, Store
from turnout.errors import NotFound

__all__ = ["NamespaceReconciler"]

Object = dict[str, Any]

_ACCOUNT, _AUTHORITY = ("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")
_ABOUT = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


class NamespaceReconciler:
    """Makes them in a new namespace, and again when somebody deletes them."""

    def __init__(self, store: Store, *, authority: str) -> None:
        self._store, self._authority = store, authority

    def keys(self) -> list[Key]:
        """All namespaces."""
        return [("Namespace", "", namespace["metadata"]["name"]) for namespace in self._store.list("Namespace")]

    def affected(self, changed: Key) -> list[Key]:
        """The namespace that an object is, or is a part of that must be there."""
        kind, namespace, name = changed
        if kind == "Namespace":
            return [changed]
        return [("Namespace", "", namespace)] if (kind, name) in (_ACCOUNT, _AUTHORITY) else []

    def reconcile(self, key: Key) -> float | None:
        """Make what is missing."""
        try:
            namespace = self._store.get("Namespace", key[2])
        except NotFound:
            return None
        if "deletionTimestamp" not in namespace["metadata"]:
            self._put(_ACCOUNT, key[2], {})
            self._put(_AUTHORITY, key[2], {"data": {"ca.crt": self._authority}})
        return None

    def _put(self, which: tuple[str, str], namespace: str, content: Object) -> None:
        kind, name = which
        try:
            found = self._store.get(kind, name, namespace)
        except NotFound:
            annotations = {"annotations": {"kubernetes.io/description": _ABOUT}} if content else {}
            obj = {"metadata": {"name": name, "namespace": namespace, **annotations}, **content}
            with contextlib.suppress(AlreadyExists):
                self._store.create(kind, obj)
            return
        if any(found.get(field) != value for field, value in content.items()):
            with contextlib.suppress(NotFound):
                self._store.mutate(kind, name, namespace, lambda current: {**current, **content})
