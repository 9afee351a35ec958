"""The verb watch: a stream of changes, each once and in order.

A watcher remembers how far it has read the store's history and asks for what came after; the store only wakes it up.
So nothing is lost between two looks, and nothing can come twice. Whoever is too far behind is told so (410).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson

from turnout.embedded.api import errors, options, reading, selectors, tables
from turnout.embedded.api.calls import Call
from turnout.embedded.api.selectors import Selector
from turnout.embedded.store import Change, Expired, Key, Store

__all__ = ["Watch", "opened", "stream"]

Object = dict[str, Any]

_LONGEST_S = 3600.0
_BOOKMARK_S, _GREETING_S = 30.0, 0.4
_LONGEST_SLEEP_S = 5.0
_TABLES = ("Table", "OldTable")
_INITIAL_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True)
class Watch:
    """A watch as it was asked for."""

    call: Call
    selector: Selector
    version: int | None
    timeout_s: float
    bookmarks: bool
    from_now: bool
    marks_initial_end: bool


def opened(call: Call) -> Watch:
    """The watch that a request asks for.

    Raises:
        ApiError: an option is wrong.
    """
    query = call.flat_query
    options.check_numbers(call.query)
    reading.shape_of(call)  # a shape that there is not is refused before the stream begins
    version, sends_initial = query.get("resourceVersion", ""), query.get("sendInitialEvents") == "true"
    _check_initial(query)
    tables.check_include(query.get("includeObject", ""))
    number = options.parse_resource_version(version, code=500) if version else 0
    seconds = query.get("timeoutSeconds", "")
    return Watch(
        call=call,
        selector=selectors.of_request(call.target.kind, query),
        version=None if sends_initial or number == 0 else number,
        timeout_s=min(float(seconds), _LONGEST_S) if seconds.isdigit() and seconds != "0" else _LONGEST_S,
        from_now=number == 0 and query.get("sendInitialEvents") == "false",
        bookmarks=options.flag(call.query, "allowWatchBookmarks"),
        marks_initial_end=sends_initial,
    )


def _check_initial(query: dict[str, str]) -> None:
    asked, match = "sendInitialEvents" in query, query.get("resourceVersionMatch", "")
    causes = []
    if match and not asked:
        text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        causes.append(errors.forbidden_value("resourceVersionMatch", text))
    if asked and match != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        causes.append(errors.forbidden_value("resourceVersionMatch", text))
    if match not in ("", "NotOlderThan"):
        causes.append(errors.unsupported_value("resourceVersionMatch", match, ("NotOlderThan",)))
    if query.get("continue"):
        text = "resourceVersionMatch is forbidden when continue is provided"
        causes.append(errors.forbidden_value("resourceVersionMatch", text))
    if causes:
        raise errors.invalid_options("ListOptions", *causes)


class _Bell:
    """Wakes one watcher, from whatever thread the store writes in."""

    def __init__(self, store: Store, kind: str) -> None:
        self._loop, self._rung, self._kind = asyncio.get_running_loop(), asyncio.Event(), kind
        self._stop = store.listen(self._ring)

    def _ring(self, key: Key) -> None:
        if key[0] == self._kind and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._rung.set)

    async def wait(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            return
        finally:
            self._rung.clear()

    def close(self) -> None:
        self._stop()


class _Bookmarks:
    """When a client that asked for bookmarks hears how far its watch came.

    The first comes soon and says nothing new: kubectl calls a watch that ends within a second, without an item, broken.
    """

    def __init__(self, watch: Watch, position: int) -> None:
        self._wanted, self._told, self._greeted = watch.bookmarks, position, False
        self._next = time.monotonic() + _GREETING_S

    def are_due(self, position: int, *, now: float, is_last: bool) -> bool:
        if not self._wanted:
            return False
        news = position > self._told
        return (now >= self._next and (news or not self._greeted)) or (is_last and news)

    def told(self, position: int, *, now: float) -> None:
        """Something was sent, which says as much as a bookmark."""
        self._told, self._greeted, self._next = position, True, now + _BOOKMARK_S

    def wait_s(self, *, now: float) -> float:
        """How long to sleep at most."""
        return min(max(self._next - now, 0.05), _LONGEST_SLEEP_S) if self._wanted else _LONGEST_SLEEP_S


async def stream(store: Store, watch: Watch) -> AsyncIterator[bytes]:
    """The lines of a watch, until its time is over or its history is gone."""
    kind, namespace = watch.call.target.kind.kind, watch.call.target.namespace
    lines, bell = _Lines(watch), _Bell(store, kind)
    end = time.monotonic() + watch.timeout_s
    try:
        position, first = _start(store, watch, lines)
        if first:
            yield first
        bookmarks = _Bookmarks(watch, position)
        while True:
            history = store.changes(kind, namespace, after=position)
            position, now = history.resource_version, time.monotonic()
            written = b"".join(lines.of_change(change) for change in history.changes)
            if not written and bookmarks.are_due(position, now=now, is_last=now >= end):
                written = lines.bookmark(position)
            if written:
                bookmarks.told(position, now=now)
                yield written
            if now >= end:
                return
            if not history.changes:
                # Waking up now and then moves the position past the changes of other kinds.
                await bell.wait(min(end - now, bookmarks.wait_s(now=now)))
    except Expired as problem:
        yield lines.error(errors.expired(str(problem)))
    except errors.ApiError as problem:
        yield lines.error(problem)
    finally:
        bell.close()


def _start(store: Store, watch: Watch, lines: _Lines) -> tuple[int, bytes]:
    """Where to begin, and the made-up events for what is there already."""
    if watch.version is not None:
        current = store.resource_version
        if watch.version > current:
            raise errors.too_large_resource_version(watch.version, current)
        return watch.version, b""
    if watch.from_now:
        return store.resource_version, b""
    target = watch.call.target
    snapshot = store.snapshot(target.kind.kind, target.namespace)
    found = b"".join(lines.event("ADDED", obj) for obj in snapshot.objects if watch.selector.selects(obj))
    if watch.marks_initial_end:
        found += lines.bookmark(snapshot.resource_version, annotations=_INITIAL_END)
    return snapshot.resource_version, found


class _Lines:
    """Events as lines of JSON, in the shape that the client asked for."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._shape = reading.shape_of(watch.call)
        self._include = watch.call.one("includeObject")
        self._columns_sent = False

    def of_change(self, change: Change) -> bytes:
        """The event that a change is to this watcher's selector; nothing if it is none of its business."""
        selects = self._watch.selector.selects
        before = change.previous is not None and selects(change.previous)
        after = change.type != "DELETED" and selects(change.object)
        if after:
            return self.event("MODIFIED" if before else "ADDED", change.object)
        if not before or change.previous is None:
            return b""
        last = change.object if change.type == "DELETED" else change.previous
        version = str(change.resource_version)
        return self.event("DELETED", {**last, "metadata": {**last["metadata"], "resourceVersion": version}})

    def event(self, name: str, obj: Object) -> bytes:
        return _line(name, self._shown(obj))

    def bookmark(self, version: int, *, annotations: dict[str, str] | None = None) -> bytes:
        served = self._watch.call.target.served
        metadata: Object = {"resourceVersion": str(version), **({"annotations": annotations} if annotations else {})}
        obj = {"kind": served.kind.kind, "apiVersion": served.api_version, "metadata": metadata}
        if self._shape in _TABLES:
            obj = {**tables.table(served, [], metadata={"resourceVersion": str(version)}), "rows": []}
        return _line("BOOKMARK", obj)

    def error(self, problem: errors.ApiError) -> bytes:
        return _line("ERROR", problem.body)

    def _shown(self, obj: Object) -> Object:
        served = self._watch.call.target.served
        if self._shape in ("Partial", "PartialList"):
            return tables.partial(obj)
        if self._shape not in _TABLES:
            return served.present(obj)
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        with_columns, self._columns_sent = not self._columns_sent, True
        return tables.table(served, [obj], metadata=metadata, include=self._include, with_columns=with_columns)


def _line(name: str, obj: Object) -> bytes:
    return orjson.dumps({"type": name, "object": obj}) + b"\n"
