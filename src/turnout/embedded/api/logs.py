"""The log of a Pod: what its process wrote, perhaps as it is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Protocol

import anyio
from anyio import CapacityLimiter, to_thread

from turnout.embedded.api import errors
from turnout.embedded.api.calls import Call
from turnout.embedded.store import Store
from turnout.errors import NotFound

__all__ = ["ReadLog", "limiter", "stream", "wanted"]

_FOLLOWERS_MOST = 32


class ReadLog(Protocol):
    """Where the lines of a log come from; following, it gives empty pieces now and then so that it can be ended."""

    def __call__(self, namespace: str, pod: str, *, tail_lines: int | None, follow: bool) -> Iterator[bytes]: ...


def wanted(store: Store, call: Call) -> tuple[int | None, bool]:
    """How many last lines, and whether to go on, of a Pod that exists.

    Raises:
        ApiError: there is no such Pod or container (404, 400), or a number is none (400).
    """
    target, name = call.target, call.target.name or ""
    try:
        pod = store.get("Pod", name, target.namespace)
    except NotFound as problem:
        raise errors.not_found(target.kind, name) from problem
    container = call.one("container")
    spec = pod.get("spec", {})
    names = [item["name"] for key in ("containers", "initContainers") for item in spec.get(key) or ()]
    if container and container not in names:
        raise errors.bad_request(f"container {container} is not valid for pod {name}")
    tail = call.one("tailLines")
    if tail and not tail.isdigit():
        raise errors.bad_request(f"strconv.ParseInt: parsing {errors.go_quote(tail)}: invalid syntax")
    return (int(tail) if tail else None), call.one("follow").lower() in ("true", "1")


async def stream(pieces: Iterator[bytes], limiter: CapacityLimiter) -> AsyncIterator[bytes]:
    """The pieces of a log, read in threads of their own so that long listeners do not hold up other requests."""
    try:
        while (piece := await to_thread.run_sync(next, pieces, None, limiter=limiter)) is not None:
            if piece:
                yield piece
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(getattr(pieces, "close", _nothing), limiter=limiter)


def limiter() -> CapacityLimiter:
    """The threads that followers may hold."""
    return CapacityLimiter(_FOLLOWERS_MOST)


def _nothing() -> None:
    """Not every iterator can be closed."""
