"""The log of a Pod: what its process wrote, perhaps as it is written."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import anyio
from anyio import CapacityLimiter, to_thread

from turnout.embedded.api import errors, options
from turnout.embedded.api.calls import Call
from turnout.embedded.store import Store
from turnout.errors import NotFound

__all__ = ["LogOptions", "ReadLog", "limiter", "stream", "wanted"]

Object = dict[str, Any]

_FOLLOWERS_MOST = 32


@dataclass(frozen=True)
class LogOptions:
    """What of a log is asked for; `since` is in seconds since 1970, an empty `container` is the one that serves."""

    container: str = ""
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since: float | None = None
    follow: bool = False
    previous: bool = False
    timestamps: bool = False


class ReadLog(Protocol):
    """Where the lines of a log come from; following, it gives empty pieces now and then so that it can be ended."""

    def __call__(self, namespace: str, pod: str, wanted: LogOptions) -> Iterator[bytes]: ...


def wanted(store: Store, call: Call) -> LogOptions:
    """What is asked for, of a Pod that exists.

    Raises:
        ApiError: there is no such Pod or container (404, 400), nothing of it yet (400), or an option is wrong (400).
    """
    target, name = call.target, call.target.name or ""
    try:
        pod = store.get("Pod", name, target.namespace)
    except NotFound as problem:
        raise errors.not_found(target.kind, name) from problem
    found = LogOptions(
        container=_container(pod, call.one("container")),
        tail_lines=_number(call, "tailLines"),
        limit_bytes=_number(call, "limitBytes"),
        since=_since(call),
        follow=options.flag(call.query, "follow"),
        previous=options.flag(call.query, "previous"),
        timestamps=options.flag(call.query, "timestamps"),
    )
    _check_started(pod, found)
    return found


def _container(pod: Object, asked: str) -> str:
    """The init container that is asked for, or an empty text for the one container that there is."""
    spec = pod.get("spec", {})
    if asked in [item["name"] for item in spec.get("initContainers") or ()]:
        return asked
    if asked and asked not in [item["name"] for item in spec.get("containers") or ()]:
        raise errors.bad_request(f"container {asked} is not valid for pod {pod['metadata']['name']}")
    return ""


def _check_started(pod: Object, found: LogOptions) -> None:
    """Refuse a log of what has not run: the run before the first, or a container that waits for its first start."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or [{}]
    has_ended = "terminated" in (statuses[0].get("lastState") or {})
    name, container = pod["metadata"]["name"], statuses[0].get("name", "")
    if found.container or has_ended:
        return
    if found.previous:
        raise errors.bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
    waiting = (statuses[0].get("state") or {}).get("waiting")
    if waiting and not statuses[0].get("restartCount"):
        reason = waiting.get("reason", "ContainerCreating")
        raise errors.bad_request(f'container "{container}" in pod "{name}" is waiting to start: {reason}')


def _number(call: Call, name: str) -> int | None:
    text = call.one(name)
    if not text:
        return None
    if not re.fullmatch(r"\d{1,18}", text):
        raise errors.bad_request(f"strconv.ParseInt: parsing {errors.go_quote(text)}: invalid syntax")
    return int(text)


def _since(call: Call) -> float | None:
    seconds, moment = _number(call, "sinceSeconds"), call.one("sinceTime")
    if seconds is not None and moment:
        text = "at most one of `sinceTime` or `sinceSeconds` may be specified"
        raise errors.bad_request(text)
    if seconds is not None:
        return time.time() - seconds
    if not moment:
        return None
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError as problem:
        raise errors.bad_request(f"sinceTime: {errors.go_quote(moment)} is no time of RFC 3339") from problem


async def stream(pieces: Iterator[bytes], found: LogOptions, limiter: CapacityLimiter) -> AsyncIterator[bytes]:
    """The pieces of a log, read in threads of their own so that long listeners do not hold up other requests."""
    left = found.limit_bytes
    try:
        while (piece := await to_thread.run_sync(next, pieces, None, limiter=limiter)) is not None:
            if piece:
                yield piece if left is None else piece[:left]
            if left is not None and (left := left - len(piece)) <= 0:
                return
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(getattr(pieces, "close", _nothing), limiter=limiter)


def limiter() -> CapacityLimiter:
    """The threads that followers may hold."""
    return CapacityLimiter(_FOLLOWERS_MOST)


def _nothing() -> None:
    """Not every iterator can be closed."""
