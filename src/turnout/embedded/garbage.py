"""What must go after something else went: dependents without owners, and everything in a namespace that was deleted.

One pass does what can be done now and says how much; whoever runs it makes another while there is something. Views of
processes are left to the reconcilers, which must end the processes first.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from turnout.embedded import objects, terminating
from turnout.embedded.kinds import KINDS
from turnout.embedded.store import Key, Store
from turnout.errors import NotFound

__all__ = ["collect", "expire_events"]

Object = dict[str, Any]

_log = logging.getLogger(__name__)

_FOREGROUND, _ORPHAN = "foregroundDeletion", "orphan"
_EVENTS_KEPT = timedelta(hours=1)  # as in Kubernetes


def expire_events(store: Store, *, now: datetime) -> int:
    """Delete Events that nobody has repeated for an hour; how many."""
    oldest = (now - _EVENTS_KEPT).strftime("%Y-%m-%dT%H:%M:%SZ")
    old = [event for event in store.list("Event") if _last_seen(event) < oldest]
    return sum(_delete(store, ("Event", event["metadata"]["namespace"], event["metadata"]["name"])) for event in old)


def _last_seen(event: Object) -> str:
    """Instants of one format sort like texts."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"])


def collect(store: Store) -> int:
    """Delete what has lost its owners, finish deletions that wait for dependents; how many objects were touched."""
    return _free_waiting(store) + _delete_ownerless(store) + _empty_namespaces(store)


def _delete_ownerless(store: Store) -> int:
    """Delete the dependents whose every owner is gone."""
    owned = store.owned()
    if not owned:
        return 0
    living = store.uids()
    return sum(_delete(store, item.key) for item in owned if not item.owner_uids & living)


def _free_waiting(store: Store) -> int:
    """Owners that are being deleted in the foreground, or orphan their dependents."""
    touched = 0
    for kind, namespace, name in store.dying():
        try:
            obj = store.get(kind, name, namespace)
        except NotFound:
            continue  # gone in between
        finalizers = obj["metadata"].get("finalizers") or ()
        if _FOREGROUND in finalizers or _ORPHAN in finalizers:
            touched += _free(store, kind, obj, orphan=_ORPHAN in finalizers)
    return touched


def _free(store: Store, kind: str, owner: Object, *, orphan: bool) -> int:
    uid = owner["metadata"]["uid"]
    dependents = [item.key for item in store.owned() if uid in item.owner_uids]
    for key in dependents:
        if orphan:
            _change(store, key, lambda obj: _without_owner(obj, uid))
        else:
            _delete(store, key)
    if orphan or not dependents:
        finalizer = _ORPHAN if orphan else _FOREGROUND
        key = (kind, owner["metadata"].get("namespace", ""), owner["metadata"]["name"])
        _change(store, key, lambda obj: _without_finalizer(obj, finalizer))
        return len(dependents) + 1
    return len(dependents)


def _empty_namespaces(store: Store) -> int:
    """Delete what is in namespaces that are being deleted, and the namespaces when nothing is left in them."""
    touched = 0
    for kind, _, name in store.dying():
        if kind != "Namespace":
            continue
        key = ("Namespace", "", name)
        left = store.keys(name)
        gone = sum(_delete(store, item) for item in left)
        touched += gone
        if not left:
            touched += _change(store, key, _without_kubernetes)
        elif not gone:
            _say_what_remains(store, key, left)
    return touched


def _without_kubernetes(namespace: Object) -> Object:
    """A namespace that is empty: only somebody else's finalizers hold it now."""
    finalizers = [name for name in namespace.get("spec", {}).get("finalizers", ()) if name != "kubernetes"]
    return {**namespace, "spec": {**namespace.get("spec", {}), "finalizers": finalizers}}


def _say_what_remains(store: Store, key: Key, left: list[Key]) -> None:
    """The conditions by which a namespace that does not go away says why."""
    finalizers: Counter[str] = Counter()
    for kind, namespace, name in left:
        with contextlib.suppress(NotFound):
            finalizers.update(store.get(kind, name, namespace)["metadata"].get("finalizers") or ())
    wanted = terminating.remaining(Counter(KINDS[kind].resource for kind, _, _ in left), finalizers)

    def change(namespace: Object) -> Object:
        status = namespace.get("status", {})
        if [terminating.untimed(entry) for entry in status.get("conditions") or ()] == wanted:
            return namespace
        timed = [{**entry, "lastTransitionTime": objects.now()} for entry in wanted]
        return {**namespace, "status": {**status, "phase": "Terminating", "conditions": timed}}

    with contextlib.suppress(NotFound):
        store.mutate(key[0], key[2], None, change, status=True)


def _delete(store: Store, key: Key) -> int:
    """Ask for the deletion of one object; 0 when there is nothing to do."""
    kind, namespace, name = key
    if KINDS[kind].is_view:
        return 0
    try:
        before = store.get(kind, name, namespace)
        if "deletionTimestamp" in before["metadata"]:
            return 0  # it waits for somebody's finalizer
        store.delete(kind, name, namespace, uid=before["metadata"]["uid"])
    except NotFound:
        return 0
    _log.info("collected %s %s/%s", kind, namespace, name)
    return 1


def _change(store: Store, key: Key, change: Any) -> bool:
    """Change an object; whether there was something to change."""
    kind, namespace, name = key
    try:
        before = store.get(kind, name, namespace)
        return not objects.same(before, store.mutate(kind, name, namespace, change))
    except NotFound:
        _log.debug("%s %s/%s went by itself", kind, namespace, name)
        return False


def _without_owner(obj: Object, uid: str) -> Object:
    kept = [owner for owner in obj["metadata"].get("ownerReferences", ()) if owner.get("uid") != uid]
    return {**obj, "metadata": _with(obj["metadata"], "ownerReferences", kept)}


def _without_finalizer(obj: Object, finalizer: str) -> Object:
    kept = [item for item in obj["metadata"].get("finalizers", ()) if item != finalizer]
    return {**obj, "metadata": _with(obj["metadata"], "finalizers", kept)}


def _with(metadata: Object, key: str, values: list[Any]) -> Object:
    rest = {name: value for name, value in metadata.items() if name != key}
    return {**rest, key: values} if values else rest
