"""What holds for each kind alike."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.kinds import Sample
from tests.conformance.server import TABLE, Server, eventually, reason

pytestmark = pytest.mark.e2e


def test_objects_are_created_read_changed_and_deleted(server: Server, sample: Sample, ns: str, name: str) -> None:
    path = f"{sample.collection(ns)}/{name}"
    created = server.post(sample.collection(ns), sample.named(name))
    assert created.status_code == 201, created.text
    assert reason(server.post(sample.collection(ns), sample.named(name))) == (409, "AlreadyExists")
    read = server.get(path).json()
    assert read["metadata"]["uid"] == created.json()["metadata"]["uid"]

    def labelled() -> bool:
        now = server.get(path).json()  # a controller may write the status in between
        return server.put(path, {**now, "metadata": {**now["metadata"], "labels": {"a": "b"}}}).status_code == 200

    eventually(labelled)
    stale = {**read, "metadata": {**read["metadata"], "labels": {"a": "c"}}}
    assert reason(server.put(path, stale)) == (409, "Conflict")
    assert server.patch(path, sample.change).status_code == 200
    assert server.delete(path).status_code == 200
    eventually(lambda: server.get(path).status_code == 404)


def test_a_dry_run_and_a_generated_name(server: Server, sample: Sample, ns: str) -> None:
    body = sample.named("x")
    body["metadata"] = {"generateName": "made-"}
    tried = server.post(sample.collection(ns), body, dryRun="All")
    assert (tried.status_code, tried.json()["metadata"]["name"][:5]) == (201, "made-")
    assert server.get(f"{sample.collection(ns)}/{tried.json()['metadata']['name']}").status_code == 404


def test_unknown_fields_are_named_with_their_path(server: Server, sample: Sample, ns: str, name: str) -> None:
    body = {**sample.named(name), "nope": 1}
    refused = server.post(sample.collection(ns), body, fieldValidation="Strict")
    assert reason(refused) == (400, "BadRequest")
    assert 'strict decoding error: unknown field "nope"' in refused.json()["message"]
    warned = server.post(sample.collection(ns), body, fieldValidation="Warn", dryRun="All")
    assert 'unknown field \\"nope\\"' in warned.headers["warning"]
    assert "warning" not in server.post(sample.collection(ns), body, fieldValidation="Ignore", dryRun="All").headers


def test_server_side_apply_records_who_manages_what(server: Server, sample: Sample, ns: str, name: str) -> None:
    path = f"{sample.collection(ns)}/{name}"
    applied = server.apply(path, sample.named(name), manager="one")
    assert applied.status_code == 201, applied.text
    entry = applied.json()["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("one", "Apply", sample.api_version)
    labelled = sample.named(name)
    labelled["metadata"]["labels"] = {"a": "b"}
    assert server.apply(path, labelled, manager="two").status_code == 200
    labelled["metadata"]["labels"] = {"a": "c"}
    refused = server.apply(path, labelled, manager="three")
    assert reason(refused) == (409, "Conflict")
    assert refused.json()["details"]["causes"][0]["field"] == ".metadata.labels.a"
    assert server.apply(path, labelled, manager="three", force="true").json()["metadata"]["labels"] == {"a": "c"}
    server.delete(path)


def test_a_watch_tells_each_change_once_and_in_order(server: Server, sample: Sample, ns: str, name: str) -> None:
    path = sample.collection(ns)
    start = server.get(path).json()["metadata"]["resourceVersion"]
    server.post(path, sample.named(name))
    server.patch(f"{path}/{name}", {"metadata": {"labels": {"a": "b"}}})
    server.delete(f"{path}/{name}")
    eventually(lambda: server.get(f"{path}/{name}").status_code == 404)
    events = server.watch(path, resourceVersion=start, fieldSelector=f"metadata.name={name}")
    types = [event["type"] for event in events if event["type"] != "BOOKMARK"]
    assert types[0] == "ADDED"
    assert types[-1] == "DELETED"
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))


def test_a_table_has_a_row_per_object(server: Server, sample: Sample, ns: str, name: str) -> None:
    server.post(sample.collection(ns), sample.named(name))
    table = server.get(f"{sample.collection(ns)}/{name}", accept=TABLE).json()
    assert table["kind"] == "Table"
    assert table["rows"][0]["cells"][0] == name
    assert len(table["rows"][0]["cells"]) == len(table["columnDefinitions"])
    server.delete(f"{sample.collection(ns)}/{name}")


def test_discovery_names_the_verbs(server: Server, sample: Sample) -> None:
    root = f"/apis/{sample.api_version}" if "/" in sample.api_version else f"/api/{sample.api_version}"
    found = {item["name"]: item for item in server.get(root).json()["resources"]}
    verbs = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    assert set(found[sample.plural]["verbs"]) >= verbs
    assert found[sample.plural]["namespaced"] is sample.namespaced
    assert (f"{sample.plural}/status" in found) is sample.has_status


def test_openapi_describes_the_kind(server: Server, sample: Sample) -> None:
    place = f"apis/{sample.api_version}" if "/" in sample.api_version else f"api/{sample.api_version}"
    document = server.get(f"/openapi/v3/{place}").json()
    kinds = [
        gvk["kind"]
        for schema in document["components"]["schemas"].values()
        for gvk in schema.get("x-kubernetes-group-version-kind", ())
    ]
    assert sample.kind in kinds


def test_the_status_is_written_by_its_own_path_only(server: Server, sample: Sample, ns: str, name: str) -> None:
    if not sample.has_status:
        pytest.skip(f"does not apply: {sample.kind} has no status")
    path = f"{sample.collection(ns)}/{name}"
    created = server.post(sample.collection(ns), {**sample.named(name), "status": _status(sample)}).json()
    assert created.get("status") in (None, {})
    changed = server.patch(f"{path}/status", {"status": _status(sample), **sample.change}).json()
    assert changed["metadata"]["generation"] == created["metadata"]["generation"]
    server.delete(path)


def _status(sample: Sample) -> dict[str, Any]:
    return {"parents": [], "ancestors": []} if sample.kind in ("HTTPRoute", "BackendTrafficPolicy") else {}


def test_the_generation_counts_changes_of_the_spec(server: Server, sample: Sample, ns: str, name: str) -> None:
    if not sample.is_custom:
        pytest.skip(f"does not apply: {sample.kind} has no generation")
    path = f"{sample.collection(ns)}/{name}"
    server.post(sample.collection(ns), sample.named(name))
    assert server.patch(path, {"metadata": {"labels": {"a": "b"}}}).json()["metadata"]["generation"] == 1
    assert server.patch(path, sample.change).json()["metadata"]["generation"] == 2
    server.delete(path)


def test_a_collection_is_deleted_by_selector(server: Server, sample: Sample, ns: str, name: str) -> None:
    for index, label in enumerate(("go", "go", "stay")):
        body = sample.named(f"{name}-{index}")
        body["metadata"]["labels"] = {"is": f"{name}-{label}"}
        assert server.post(sample.collection(ns), body).status_code == 201
    gone = server.delete(sample.collection(ns), labelSelector=f"is={name}-go")
    assert gone.status_code == 200

    def left() -> list[str]:
        names = [item["metadata"]["name"] for item in server.get(sample.collection(ns)).json()["items"]]
        return [found for found in names if found.startswith(name)]

    eventually(lambda: left() == [f"{name}-2"])  # finalizers may hold one for a moment
    server.delete(f"{sample.collection(ns)}/{name}-2")
