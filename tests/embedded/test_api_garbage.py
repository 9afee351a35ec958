from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.embedded.apiserver import CORE, Api, config_map, opened
from turnout.embedded import garbage
from turnout.embedded.namespaces import NamespaceReconciler


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with opened(tmp_path) as api:
        yield api


MAPS = f"{CORE}/configmaps"


def owned(api: Api, *, owner: str = "owner", child: str = "child") -> None:
    uid = api.post(MAPS, config_map(owner)).json()["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid}
    api.post(MAPS, {"metadata": {"name": child, "ownerReferences": [reference]}})


def collect(api: Api) -> None:
    while garbage.collect(api.store):
        pass


def names(api: Api) -> list[str]:
    return [item["metadata"]["name"] for item in api.get(MAPS).json()["items"]]


def test_dependents_go_after_their_owner(api: Api) -> None:
    owned(api)
    collect(api)
    assert names(api) == ["child", "owner"]
    api.delete(f"{MAPS}/owner")
    collect(api)
    assert names(api) == []


def test_in_the_foreground_the_owner_waits_for_its_dependents(api: Api) -> None:
    owned(api)
    waiting = api.delete(f"{MAPS}/owner", {"propagationPolicy": "Foreground"}).json()
    assert waiting["metadata"]["finalizers"] == ["foregroundDeletion"]
    garbage.collect(api.store)
    assert names(api) == ["owner"]
    collect(api)
    assert names(api) == []


def test_orphans_lose_the_reference_and_stay(api: Api) -> None:
    owned(api)
    api.delete(f"{MAPS}/owner", propagationPolicy="Orphan")
    collect(api)
    assert names(api) == ["child"]
    assert "ownerReferences" not in api.get(f"{MAPS}/child").json()["metadata"]


def test_dependents_of_two_owners_stay_while_one_lives(api: Api) -> None:
    uids = [api.post(MAPS, config_map(name)).json()["metadata"]["uid"] for name in ("one", "two")]
    owners = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": uid} for uid in uids]
    api.post(MAPS, {"metadata": {"name": "child", "ownerReferences": owners}})
    api.delete(f"{MAPS}/one")
    collect(api)
    assert names(api) == ["child", "two"]


def test_a_namespace_goes_with_everything_in_it(api: Api) -> None:
    api.post("/api/v1/namespaces", {"metadata": {"name": "n"}})
    inside = "/api/v1/namespaces/n/configmaps"
    api.post(inside, {"metadata": {"name": "held", "finalizers": ["test.dev/hold"]}})
    api.post(inside, config_map("free"))
    api.delete("/api/v1/namespaces/n")
    collect(api)
    assert [item["metadata"]["name"] for item in api.get(inside).json()["items"]] == ["held"]
    api.patch(f"{inside}/held", {"metadata": {"finalizers": None}})
    collect(api)
    assert api.get("/api/v1/namespaces/n").status_code == 404


def test_events_that_nobody_repeats_expire_after_an_hour(api: Api) -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    for name, seen in (("old", "2026-01-01T10:59:59Z"), ("new", "2026-01-01T11:00:01Z")):
        about = {"kind": "Pod", "name": "p", "namespace": "default"}
        api.post(f"{CORE}/events", {"metadata": {"name": name}, "involvedObject": about, "lastTimestamp": seen})
    assert garbage.expire_events(api.store, now=now) == 1
    assert [item["metadata"]["name"] for item in api.get(f"{CORE}/events").json()["items"]] == ["new"]


def test_views_of_processes_are_left_to_who_runs_them(api: Api) -> None:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "gone"}
    metadata = {"name": "p", "namespace": "default", "ownerReferences": [reference]}
    api.store.create("Pod", {"metadata": metadata})
    assert garbage.collect(api.store) == 0
    assert api.get(f"{CORE}/pods/p").status_code == 200


@pytest.mark.parametrize("policy", ["Sideways"])
def test_unknown_ways_to_delete_are_refused(api: Api, policy: str) -> None:
    assert api.delete(f"{MAPS}/a", propagationPolicy=policy).status_code == 422


def test_a_namespace_that_does_not_go_says_what_is_in_it_and_who_holds_it(api: Api) -> None:
    api.post("/api/v1/namespaces", {"metadata": {"name": "n"}})
    held = {"metadata": {"name": "held", "finalizers": ["test.dev/hold"]}}
    api.post("/api/v1/namespaces/n/configmaps", held)
    api.delete("/api/v1/namespaces/n")
    collect(api)
    found = api.get("/api/v1/namespaces/n").json()["status"]
    texts = {entry["type"]: entry["message"] for entry in found["conditions"] if entry["status"] == "True"}
    assert texts == {
        "NamespaceContentRemaining": "Some resources are remaining: configmaps. has 1 resource instances",
        "NamespaceFinalizersRemaining": (
            "Some content in the namespace has finalizers remaining: test.dev/hold in 1 resource instances"
        ),
    }
    collect(api)
    assert api.get("/api/v1/namespaces/n").json()["status"] == found


def test_a_namespace_is_let_go_of_by_its_finalize_path(api: Api) -> None:
    made = api.post("/api/v1/namespaces", {"metadata": {"name": "n"}, "spec": {"finalizers": ["test.dev/hold"]}})
    assert made.json()["spec"]["finalizers"] == ["test.dev/hold", "kubernetes"]
    api.delete("/api/v1/namespaces/n")
    collect(api)
    assert api.get("/api/v1/namespaces/n").json()["spec"]["finalizers"] == ["test.dev/hold"]
    freed = api.put("/api/v1/namespaces/n/finalize", {"metadata": {"name": "n"}, "spec": {}})
    assert freed.json()["spec"] == {}
    assert api.get("/api/v1/namespaces/n").status_code == 404


def test_only_the_deletion_of_a_namespace_ends_its_phase(api: Api) -> None:
    refused = api.patch("/api/v1/namespaces/default/status", {"status": {"phase": "Terminating"}})
    assert "may only be 'Active' if `deletionTimestamp` is empty" in refused.json()["message"]


def test_every_namespace_has_an_account_and_the_authority(api: Api) -> None:
    reconciler = NamespaceReconciler(api.store, authority="pem")
    for key in reconciler.affected(("ConfigMap", "default", "kube-root-ca.crt")):
        reconciler.reconcile(key)
    assert api.get(f"{MAPS}/kube-root-ca.crt").json()["data"] == {"ca.crt": "pem"}
    account = api.get(f"{CORE}/serviceaccounts/default").json()
    api.patch(f"{MAPS}/kube-root-ca.crt", {"data": {"ca.crt": "other"}})
    found = reconciler.keys()
    for key in found:
        reconciler.reconcile(key)
    assert api.get(f"{MAPS}/kube-root-ca.crt").json()["data"] == {"ca.crt": "pem"}
    assert api.get(f"{CORE}/serviceaccounts/default").json() == account
    assert reconciler.affected(("ConfigMap", "default", "other")) == []
    reconciler.reconcile(("Namespace", "", "gone"))
