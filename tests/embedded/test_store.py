from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from turnout.embedded.store import AlreadyExists, Expired, Stale, Store
from turnout.errors import NotFound


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db", durable=False)
    yield store
    store.close()


def route(name: str = "a", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def config_map(name: str = "a", **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


def test_creating_gives_an_object_its_identity(store: Store) -> None:
    created = store.create("HTTPRoute", route(hostnames=["a.test"]))
    assert created["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert created["kind"] == "HTTPRoute"
    assert created["metadata"]["generation"] == 1
    assert {"uid", "creationTimestamp", "resourceVersion"} <= set(created["metadata"])
    assert store.get("HTTPRoute", "a", "default") == created


def test_a_name_can_be_taken_only_once(store: Store) -> None:
    store.create("ConfigMap", config_map())
    with pytest.raises(AlreadyExists, match='configmaps "a" already exists'):
        store.create("ConfigMap", config_map())


def test_kinds_without_a_spec_have_no_generation(store: Store) -> None:
    assert "generation" not in store.create("ConfigMap", config_map())["metadata"]


def test_what_is_missing_is_not_found_by_any_verb(store: Store) -> None:
    with pytest.raises(NotFound):
        store.get("ConfigMap", "a", "default")
    with pytest.raises(NotFound):
        store.update("ConfigMap", config_map())
    with pytest.raises(NotFound):
        store.delete("ConfigMap", "a", "default")


def test_an_update_of_an_old_state_is_stale(store: Store) -> None:
    old = store.create("ConfigMap", config_map(k="1"))
    store.update("ConfigMap", config_map(k="2"))
    with pytest.raises(Stale, match="has been modified"):
        store.update("ConfigMap", {**old, "data": {"k": "3"}})


def test_an_update_of_an_object_of_that_name_from_before_is_stale(store: Store) -> None:
    old = store.create("ConfigMap", config_map())
    store.delete("ConfigMap", "a", "default")
    store.create("ConfigMap", config_map())
    del old["metadata"]["resourceVersion"]
    with pytest.raises(Stale, match="UID"):
        store.update("ConfigMap", old)


def test_only_a_changed_spec_raises_the_generation(store: Store) -> None:
    store.create("HTTPRoute", route(hostnames=["a.test"]))
    relabelled = route(hostnames=["a.test"])
    relabelled["metadata"]["labels"] = {"x": "1"}
    assert store.update("HTTPRoute", relabelled)["metadata"]["generation"] == 1
    assert store.update("HTTPRoute", route(hostnames=["b.test"]))["metadata"]["generation"] == 2


def test_a_status_write_changes_nothing_but_the_status(store: Store) -> None:
    created = store.create("HTTPRoute", route(hostnames=["a.test"]))
    wanted = {**route(hostnames=["z.test"]), "status": {"parents": []}}
    written = store.update("HTTPRoute", wanted, status=True)
    assert (written["spec"], written["status"]) == (created["spec"], {"parents": []})
    assert written["metadata"]["generation"] == 1


def test_another_write_leaves_the_status_alone(store: Store) -> None:
    store.create("HTTPRoute", {**route(), "status": {"parents": []}})
    assert store.update("HTTPRoute", route(hostnames=["a.test"]))["status"] == {"parents": []}


def test_views_are_written_whole(store: Store) -> None:
    store.create("Pod", {**route(), "status": {"phase": "Pending"}})
    assert store.update("Pod", {**route(), "status": {"phase": "Running"}})["status"] == {"phase": "Running"}


def test_a_write_that_changes_nothing_writes_nothing(store: Store) -> None:
    created = store.create("ConfigMap", config_map(k="1"))
    changes = store.subscribe()
    assert store.update("ConfigMap", config_map(k="1")) == created
    assert store.resource_version == int(created["metadata"]["resourceVersion"])
    assert changes.wait(0) == set()


def test_clients_cannot_change_what_the_server_owns(store: Store) -> None:
    created = store.create("HTTPRoute", route())
    wanted = route()
    wanted["metadata"] |= {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 99, "labels": {"x": "1"}}
    written = store.update("HTTPRoute", wanted)["metadata"]
    assert written["creationTimestamp"] == created["metadata"]["creationTimestamp"]
    assert written["generation"] == 1


def test_a_deleted_object_stays_while_it_has_finalizers(store: Store) -> None:
    held = config_map()
    held["metadata"]["finalizers"] = ["test/hold"]
    store.create("ConfigMap", held)
    assert "deletionTimestamp" in store.delete("ConfigMap", "a", "default")["metadata"]
    assert "deletionTimestamp" in store.get("ConfigMap", "a", "default")["metadata"]
    store.update("ConfigMap", config_map())
    with pytest.raises(NotFound):
        store.get("ConfigMap", "a", "default")


def test_a_deletion_with_the_wrong_uid_is_stale(store: Store) -> None:
    store.create("ConfigMap", config_map())
    with pytest.raises(Stale):
        store.delete("ConfigMap", "a", "default", uid="another")


def test_a_dry_run_answers_as_if_it_had_been_done(store: Store) -> None:
    store.create("HTTPRoute", route())
    tried = store.update("HTTPRoute", route(hostnames=["a.test"]), dry_run=True)
    assert tried["metadata"]["generation"] == 2
    assert store.create("ConfigMap", config_map(), dry_run=True)["metadata"]["uid"]
    assert store.get("HTTPRoute", "a", "default")["metadata"]["generation"] == 1
    assert store.list("ConfigMap") == []


def test_lists_choose_by_namespace_and_labels(store: Store) -> None:
    labelled = config_map("b")
    labelled["metadata"] |= {"namespace": "other", "labels": {"x": "1", "y": "2"}}
    store.create("ConfigMap", config_map("a"))
    store.create("ConfigMap", labelled)
    assert [obj["metadata"]["name"] for obj in store.list("ConfigMap")] == ["a", "b"]
    assert [obj["metadata"]["name"] for obj in store.list("ConfigMap", "other")] == ["b"]
    assert [obj["metadata"]["name"] for obj in store.list("ConfigMap", labels={"x": "1"})] == ["b"]


def test_a_snapshot_can_look_back(store: Store) -> None:
    store.create("ConfigMap", config_map("kept", k="1"))
    store.create("ConfigMap", config_map("gone"))
    then = store.resource_version
    store.update("ConfigMap", config_map("kept", k="2"))
    store.delete("ConfigMap", "gone", "default")
    store.create("ConfigMap", config_map("new"))
    found = store.snapshot("ConfigMap", at=then)
    assert [(obj["metadata"]["name"], obj["data"]) for obj in found.objects] == [("gone", {}), ("kept", {"k": "1"})]
    assert found.resource_version == then


def test_changes_come_in_order_and_once(store: Store) -> None:
    start = store.resource_version
    store.create("ConfigMap", config_map(k="1"))
    store.create("Secret", {"metadata": {"name": "s", "namespace": "default"}})
    store.update("ConfigMap", config_map(k="2"))
    store.delete("ConfigMap", "a", "default")
    first = store.changes("ConfigMap", after=start, limit=2)
    rest = store.changes("ConfigMap", after=first.resource_version)
    assert [change.type for change in (*first.changes, *rest.changes)] == ["ADDED", "MODIFIED", "DELETED"]
    assert rest.resource_version == store.resource_version
    assert store.changes("ConfigMap", after=rest.resource_version).changes == []


def test_history_that_was_compacted_is_expired(tmp_path: Path) -> None:
    store = Store(tmp_path / "small.db", history=64)
    start = store.resource_version
    store.create("ConfigMap", config_map())
    for number in range(200):
        store.update("ConfigMap", config_map(n=str(number)))
    with pytest.raises(Expired, match="too old resource version"):
        store.changes("ConfigMap", after=start)
    with pytest.raises(Expired):
        store.snapshot("ConfigMap", at=start + 1)
    assert store.changes("ConfigMap", after=store.resource_version - 10).changes
    store.close()


def test_a_subscription_tells_what_changed_since_the_last_look(store: Store) -> None:
    changes = store.subscribe()
    store.create("ConfigMap", config_map())
    store.update("ConfigMap", config_map(k="1"))
    store.create("Namespace", {"metadata": {"name": "n"}})
    assert changes.wait(5) == {("ConfigMap", "default", "a"), ("Namespace", "", "n")}
    changes.close()
    store.delete("ConfigMap", "a", "default")
    assert changes.wait(0) == set()


def test_a_subscription_wakes_up_a_waiting_thread(store: Store) -> None:
    changes, seen = store.subscribe(), []
    waiting = threading.Thread(target=lambda: seen.append(changes.wait(10)))
    waiting.start()
    store.create("ConfigMap", config_map())
    waiting.join(10)
    assert seen == [{("ConfigMap", "default", "a")}]


def test_writers_in_many_threads_lose_no_change(store: Store) -> None:
    store.create("ConfigMap", config_map(n="0"))

    def count() -> None:
        for _ in range(25):
            store.mutate(
                "ConfigMap", "a", "default", lambda obj: {**obj, "data": {"n": str(int(obj["data"]["n"]) + 1)}}
            )

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("ConfigMap", "a", "default")["data"] == {"n": "100"}


def test_a_change_that_fails_leaves_everything_as_it_was(store: Store) -> None:
    created = store.create("ConfigMap", config_map(k="1"))

    def fail(obj: dict[str, Any]) -> dict[str, Any]:
        obj["data"]["k"] = "2"
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.mutate("ConfigMap", "a", "default", fail)
    assert store.get("ConfigMap", "a", "default") == created


def test_what_was_stored_is_there_after_a_new_start(tmp_path: Path) -> None:
    first = Store(tmp_path / "store.db")
    created = first.create("ConfigMap", config_map(k="1"))
    first.close()
    second = Store(tmp_path / "store.db")
    assert second.get("ConfigMap", "a", "default") == created
    assert (
        second.create("ConfigMap", config_map("b"))["metadata"]["resourceVersion"]
        > created["metadata"]["resourceVersion"]
    )
    second.close()
