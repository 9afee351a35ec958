"""Events: what happened to an object, for `kubectl describe`."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from turnout.embedded import objects
from turnout.embedded.store import AlreadyExists, Store

__all__ = ["tell"]


def tell(store: Store, about: dict[str, Any], *, kind: str, reason: str, message: str, component: str) -> None:
    """Write an Event (`kind` is Normal or Warning) about an object."""
    metadata = about["metadata"]
    moment = objects.now()
    event = {
        "metadata": {
            "name": f"{metadata['name']}.{time.time_ns():x}",
            "namespace": metadata.get("namespace", "default"),
        },
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": metadata["name"],
            "namespace": metadata.get("namespace", ""),
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": kind,
        "reason": reason,
        "message": message,
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "eventTime": None,
        "count": 1,
    }
    with contextlib.suppress(AlreadyExists):  # two in one nanosecond say the same
        store.create("Event", event)
