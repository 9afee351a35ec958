from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.apiserver import CORE, ROUTES, SERVICES, Api, config_map, inference_service, opened, route

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with opened(tmp_path) as api:
        yield api


def test_resources_are_listed_with_verbs_and_short_names(api: Api) -> None:
    found = {item["name"]: item for item in api.get("/apis/serving.kserve.io/v1beta1").json()["resources"]}
    assert found["inferenceservices"]["shortNames"] == ["isvc"]
    assert found["inferenceservices"]["storageVersionHash"] == "O82/cZUJjXE="
    assert found["inferenceservices/status"]["verbs"] == ["get", "patch", "update"]


def test_views_of_processes_have_the_verbs_of_a_cluster(api: Api) -> None:
    found = {item["name"]: item for item in api.get("/api/v1").json()["resources"]}
    assert found["pods"]["verbs"] == found["configmaps"]["verbs"]
    assert found["pods/log"]["verbs"] == ["get"]


def test_groups_name_their_preferred_version(api: Api) -> None:
    group = api.get("/apis/serving.kserve.io").json()
    assert group["preferredVersion"]["version"] == "v1beta1"
    assert group["name"] in [item["name"] for item in api.get("/apis/").json()["groups"]]
    assert api.get("/api").json()["versions"] == ["v1"]


@pytest.mark.parametrize("path", ["/api", "/apis"])
def test_everything_is_discovered_in_one_answer_by_who_asks_for_it(api: Api, path: str) -> None:
    answer = api.get(path, accept=AGGREGATED)
    assert answer.headers["content-type"] == AGGREGATED.partition(",")[0]
    assert answer.json()["kind"] == "APIGroupDiscoveryList"
    resources = answer.json()["items"][0]["versions"][0]["resources"]
    assert {"resource", "responseKind", "scope", "singularResource", "verbs"} <= set(resources[0])


def test_discovery_cannot_be_written(api: Api) -> None:
    assert api.post("/api", {}).status_code == 405


def test_the_openapi_index_leads_to_every_group_version(api: Api) -> None:
    paths = api.get("/openapi/v3").json()["paths"]
    assert "apis/turnout.dev/v1alpha1" in paths
    for entry in paths.values():
        assert api.get(entry["serverRelativeURL"]).json()["openapi"] == "3.0.0"


def test_openapi_describes_fields_and_what_writes_understand(api: Api) -> None:
    document = api.get("/openapi/v3/apis/turnout.dev/v1alpha1").json()
    schema = document["components"]["schemas"]["dev.turnout.v1alpha1.Turnout"]
    assert schema["x-kubernetes-group-version-kind"] == [
        {"group": "turnout.dev", "kind": "Turnout", "version": "v1alpha1"}
    ]
    assert (
        "wrong promotion" in schema["properties"]["spec"]["properties"]["policy"]["properties"]["alpha"]["description"]
    )
    patch = document["paths"]["/apis/turnout.dev/v1alpha1/namespaces/{namespace}/turnouts/{name}"]["patch"]
    assert {"dryRun", "fieldValidation"} <= {parameter["name"] for parameter in patch["parameters"]}


def test_openapi_of_what_is_not_served_is_not_found(api: Api) -> None:
    assert api.get("/openapi/v3/apis/nope.example.com/v1").status_code == 404
    assert api.get("/openapi/v3/nonsense").status_code == 404


def test_the_older_openapi_has_all_kinds(api: Api) -> None:
    definitions = api.get("/openapi/v2").json()["definitions"]
    assert {"io.k8s.api.core.v1.ConfigMap", "io.kserve.serving.v1beta1.InferenceService"} <= set(definitions)


def test_tables_have_the_columns_of_their_kind(api: Api) -> None:
    api.post(SERVICES, inference_service())
    status = {"url": "http://a.test", "conditions": [{"type": "Ready", "status": "True"}]}
    api.patch(f"{SERVICES}/a/status", {"status": status})
    table = api.get(SERVICES, accept=TABLE).json()
    names = [column["name"] for column in table["columnDefinitions"]]
    assert names == ["Name", "URL", "Ready", "Prev", "Latest", "PrevRolledoutRevision", "LatestReadyRevision", "Age"]
    assert table["rows"][0]["cells"][:4] == ["a", "http://a.test", "True", None]


def test_lists_in_a_table_are_shown_as_json(api: Api) -> None:
    api.post(ROUTES, route(hostnames=["a.test", "b.test"]))
    assert api.get(f"{ROUTES}/a", accept=TABLE).json()["rows"][0]["cells"][1] == '["a.test","b.test"]'


@pytest.mark.parametrize(("include", "shown"), [("Object", "ConfigMap"), ("", "PartialObjectMetadata"), ("None", None)])
def test_rows_carry_as_much_of_the_object_as_asked_for(api: Api, include: str, shown: str | None) -> None:
    api.post(f"{CORE}/configmaps", config_map())
    (row,) = api.get(f"{CORE}/configmaps", accept=TABLE, includeObject=include).json()["rows"]
    assert (row["object"] or {}).get("kind") == shown
    assert api.get(f"{CORE}/configmaps", accept=TABLE, includeObject="Some").status_code == 400


def test_events_can_be_read_in_their_newer_words(api: Api) -> None:
    about = {"kind": "Pod", "name": "p", "namespace": "default"}
    api.post(f"{CORE}/events", {"metadata": {"name": "e"}, "involvedObject": about, "message": "m", "count": 2})
    newer = "/apis/events.k8s.io/v1/namespaces/default/events"
    found = api.get(f"{newer}/e").json()
    assert (found["apiVersion"], found["note"], found["deprecatedCount"]) == ("events.k8s.io/v1", "m", 2)
    assert api.post(newer, {}).status_code == 405
