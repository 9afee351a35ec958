from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.embedded.apiserver import CORE, Api, config_map, opened
from turnout.embedded.api import routes, watching
from turnout.embedded.api.calls import Call
from turnout.embedded.store import Store

MAPS = f"{CORE}/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with opened(tmp_path) as api:
        yield api


def watched(
    store: Store,
    *,
    during: Callable[[], None] = lambda: None,
    seconds: float = 0.15,
    accept: str = "application/json",
    **query: str,
) -> list[dict[str, Any]]:
    """The events of a watch that lasts for a moment, in which something is done."""
    target = routes.resolve(MAPS)
    assert target is not None
    asked = {name: [value] for name, value in query.items()}
    call = Call(method="GET", target=target, query=asked, headers={"accept": accept})
    watch = dataclasses.replace(watching.opened(call), timeout_s=seconds)

    async def run() -> list[dict[str, Any]]:
        async def act() -> None:
            await asyncio.to_thread(during)

        acting, pieces = asyncio.create_task(act()), []
        async for piece in watching.stream(store, watch):
            pieces.append(piece)
        await acting
        return [orjson.loads(line) for line in b"".join(pieces).splitlines()]

    return asyncio.run(run())


def seen(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


def test_a_watch_from_a_version_tells_each_later_change_once(api: Api) -> None:
    version = api.get(MAPS).json()["metadata"]["resourceVersion"]
    api.post(MAPS, config_map("a", data={"n": "1"}))
    api.patch(f"{MAPS}/a", {"data": {"n": "2"}})
    api.post(MAPS, config_map("b"))
    api.delete(f"{MAPS}/a")
    events = watched(api.store, resourceVersion=version)
    assert seen(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("ADDED", "b"), ("DELETED", "a")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))


def test_a_watch_tells_what_happens_while_it_lasts(api: Api) -> None:
    api.post(MAPS, config_map("a"))
    other = {"metadata": {"name": "b", "namespace": "default"}}
    events = watched(api.store, during=lambda: bool(api.store.create("ConfigMap", other)) and None)
    assert seen(events) == [("ADDED", "a"), ("ADDED", "b")]


def test_nothing_is_lost_or_doubled_under_writes_from_many_threads(api: Api) -> None:
    api.store.create("ConfigMap", {"metadata": {"name": "a", "namespace": "default"}, "data": {"n": "0"}})

    def count() -> None:
        for _ in range(60):
            change = lambda obj: {**obj, "data": {"n": str(int(obj["data"]["n"]) + 1)}}  # noqa: E731
            api.store.mutate("ConfigMap", "a", "default", change)

    events = watched(api.store, during=count, seconds=1.5)
    assert [event["object"]["data"]["n"] for event in events] == [str(number) for number in range(61)]


def test_losing_a_label_is_a_deletion_and_gaining_it_an_addition(api: Api) -> None:
    version = api.post(MAPS, config_map("a", labels={"in": "yes"})).json()["metadata"]["resourceVersion"]
    api.patch(f"{MAPS}/a", {"metadata": {"labels": {"in": "no"}}})
    api.patch(f"{MAPS}/a", {"data": {"unseen": "1"}})
    api.patch(f"{MAPS}/a", {"metadata": {"labels": {"in": "yes"}}})
    api.patch(f"{MAPS}/a", {"data": {"seen": "1"}})
    events = watched(api.store, resourceVersion=version, labelSelector="in=yes")
    assert [event["type"] for event in events] == ["DELETED", "ADDED", "MODIFIED"]
    assert events[0]["object"]["metadata"]["labels"] == {"in": "yes"}


def test_an_old_version_ends_the_watch_with_expired(api: Api) -> None:
    (event,) = watched(api.store, resourceVersion="1")
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_a_version_that_is_not_there_yet_ends_the_watch(api: Api) -> None:
    (event,) = watched(api.store, resourceVersion="99999999")
    assert (event["type"], event["object"]["code"]) == ("ERROR", 504)


def test_a_version_that_is_no_number_is_an_error(api: Api) -> None:
    assert api.get(MAPS, watch="true", resourceVersion="soon").status_code == 500


def test_initial_events_end_with_a_bookmark(api: Api) -> None:
    api.post(MAPS, config_map("a"))
    events = watched(
        api.store, sendInitialEvents="true", resourceVersionMatch="NotOlderThan", allowWatchBookmarks="true"
    )
    assert seen(events) == [("ADDED", "a"), ("BOOKMARK", "")]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_initial_events_need_their_match(api: Api) -> None:
    assert api.get(MAPS, watch="true", sendInitialEvents="true").status_code == 422
    assert api.get(MAPS, watch="true", resourceVersionMatch="NotOlderThan", resourceVersion="1").status_code == 422


def test_a_bookmark_tells_how_far_the_watch_came(api: Api) -> None:
    version = api.get(MAPS).json()["metadata"]["resourceVersion"]
    api.post(f"{CORE}/secrets", {"metadata": {"name": "s"}})
    (event,) = watched(api.store, resourceVersion=version, allowWatchBookmarks="true")
    assert (event["type"], int(event["object"]["metadata"]["resourceVersion"])) == ("BOOKMARK", int(version) + 1)


def test_a_watch_without_news_says_so_once_and_soon(api: Api) -> None:
    version = api.get(MAPS).json()["metadata"]["resourceVersion"]
    events = watched(api.store, seconds=0.8, resourceVersion=version, allowWatchBookmarks="true")
    assert [event["type"] for event in events] == ["BOOKMARK"]


def test_tables_carry_their_columns_once(api: Api) -> None:
    api.post(MAPS, config_map("a", data={"x": "1", "y": "2"}))
    api.post(MAPS, config_map("b"))
    first, second = (event["object"] for event in watched(api.store, accept=TABLE))
    assert first["columnDefinitions"][0]["name"] == "Name"
    assert second["columnDefinitions"] is None
    assert first["rows"][0]["cells"][:2] == ["a", 2]
    assert first["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


def test_a_single_object_can_be_watched_by_its_name(api: Api) -> None:
    for name in "ab":
        api.post(MAPS, config_map(name))
    lines = api.get(MAPS, watch="true", fieldSelector="metadata.name=b", timeoutSeconds=1).text.splitlines()
    assert [orjson.loads(line)["object"]["metadata"]["name"] for line in lines] == ["b"]
    assert api.get(f"{MAPS}/b", watch="true").json()["metadata"]["name"] == "b"  # a path to one object reads it


def test_without_initial_events_a_watch_begins_now(api: Api) -> None:
    api.post(MAPS, config_map("a"))
    assert watched(api.store, sendInitialEvents="false", resourceVersionMatch="NotOlderThan") == []
