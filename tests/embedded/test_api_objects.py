from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.apiserver import CORE, ROUTES, Api, config_map, inference_service, opened, route


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with opened(tmp_path) as api:
        yield api


def test_a_created_object_can_be_read_back(api: Api) -> None:
    created = api.post(f"{CORE}/configmaps", config_map(data={"k": "v"}))
    assert created.status_code == 201
    assert api.get(f"{CORE}/configmaps/a").json() == created.json()


def test_built_in_kinds_may_leave_out_their_kind(api: Api) -> None:
    created = api.post(f"{CORE}/configmaps", {"metadata": {"name": "a"}}).json()
    assert (created["kind"], created["apiVersion"]) == ("ConfigMap", "v1")


def test_custom_kinds_may_not(api: Api) -> None:
    refused = api.post(ROUTES, {"metadata": {"name": "a"}, "spec": {}})
    assert (refused.status_code, refused.json()["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize(("kind", "code"), [("Secret", 400), ("Gateway", 400)])
def test_an_object_of_another_kind_is_refused_for_a_built_in_one(api: Api, kind: str, code: int) -> None:
    assert api.post(f"{CORE}/configmaps", {**config_map(), "kind": kind}).status_code == code


def test_an_object_of_another_kind_is_invalid_for_a_custom_one(api: Api) -> None:
    refused = api.post(ROUTES, {**route(), "kind": "Gateway"})
    assert refused.status_code == 422
    assert refused.json()["details"]["causes"][0]["field"] == "kind"


def test_a_taken_name_is_already_exists(api: Api) -> None:
    api.post(f"{CORE}/configmaps", config_map())
    refused = api.post(f"{CORE}/configmaps", config_map()).json()
    assert (refused["code"], refused["reason"]) == (409, "AlreadyExists")
    assert refused["details"] == {"name": "a", "kind": "configmaps"}


def test_a_missing_object_is_not_found_with_its_group(api: Api) -> None:
    refused = api.get(f"{ROUTES}/nothing").json()
    assert refused["message"] == 'httproutes.gateway.networking.k8s.io "nothing" not found'
    assert refused["details"] == {"name": "nothing", "group": "gateway.networking.k8s.io", "kind": "httproutes"}


def test_a_missing_namespace_is_not_found(api: Api) -> None:
    refused = api.post("/api/v1/namespaces/none/configmaps", config_map()).json()
    assert (refused["code"], refused["details"]["kind"]) == (404, "namespaces")


def test_a_namespace_that_goes_away_takes_nothing_new(api: Api) -> None:
    api.post("/api/v1/namespaces", {"metadata": {"name": "leaving"}})
    assert api.delete("/api/v1/namespaces/leaving").json()["status"]["phase"] == "Terminating"
    refused = api.post("/api/v1/namespaces/leaving/configmaps", config_map()).json()
    assert (refused["code"], refused["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")


def test_the_namespaces_of_the_engine_cannot_be_deleted(api: Api) -> None:
    assert api.delete("/api/v1/namespaces/default").json()["reason"] == "Forbidden"


def test_generated_names_differ(api: Api) -> None:
    names = {
        api.post(f"{CORE}/configmaps", {"metadata": {"generateName": "seed-"}}).json()["metadata"]["name"] for _ in "ab"
    }
    assert len(names) == 2
    assert all(name.startswith("seed-") and len(name) == 10 for name in names)


def test_an_update_needs_the_current_version(api: Api) -> None:
    old = api.post(ROUTES, route(hostnames=["a.test"])).json()
    new = {**old, "spec": {**old["spec"], "hostnames": ["b.test"]}}
    assert api.put(f"{ROUTES}/a", new).json()["metadata"]["generation"] == 2
    refused = api.put(f"{ROUTES}/a", new).json()
    assert (refused["code"], refused["reason"]) == (409, "Conflict")


def test_a_custom_object_is_not_replaced_without_a_version(api: Api) -> None:
    api.post(ROUTES, route())
    refused = api.put(f"{ROUTES}/a", route())
    assert refused.status_code == 422
    assert "must be specified for an update" in refused.json()["message"]


def test_an_update_of_another_object_of_that_name_is_a_conflict(api: Api) -> None:
    api.post(f"{CORE}/configmaps", config_map())
    other = config_map()
    other["metadata"]["uid"] = "11111111-2222-3333-4444-555555555555"
    assert api.put(f"{CORE}/configmaps/a", other).json()["reason"] == "Conflict"


def test_the_body_must_fit_the_path(api: Api) -> None:
    assert api.put(f"{CORE}/configmaps/a", config_map("b")).status_code == 400
    elsewhere = config_map()
    elsewhere["metadata"]["namespace"] = "elsewhere"
    assert api.post(f"{CORE}/configmaps", elsewhere).status_code == 400


def test_a_status_is_written_by_its_own_path_only(api: Api) -> None:
    assert "status" not in api.post(ROUTES, {**route(), "status": {"parents": []}}).json()
    written = api.patch(f"{ROUTES}/a/status", {"status": {"parents": []}, "spec": {"hostnames": ["z.test"]}}).json()
    assert written["status"] == {"parents": []}
    assert "hostnames" not in written["spec"]
    assert api.patch(f"{ROUTES}/a", {"status": None}).json()["status"] == {"parents": []}


def test_kinds_without_a_status_have_no_such_path(api: Api) -> None:
    api.post(f"{CORE}/configmaps", config_map())
    assert api.get(f"{CORE}/configmaps/a/status").json()["reason"] == "NotFound"


def test_a_deletion_answers_what_it_deleted(api: Api) -> None:
    uid = api.post(ROUTES, route()).json()["metadata"]["uid"]
    done = api.delete(f"{ROUTES}/a").json()
    assert done["status"] == "Success"
    assert done["details"] == {"name": "a", "group": "gateway.networking.k8s.io", "kind": "httproutes", "uid": uid}
    assert api.delete(f"{ROUTES}/a").status_code == 404


def test_a_deletion_holds_to_its_preconditions(api: Api) -> None:
    api.post(f"{CORE}/configmaps", config_map())
    refused = api.delete(f"{CORE}/configmaps/a", {"preconditions": {"resourceVersion": "1"}})
    assert refused.json()["reason"] == "Conflict"


def test_an_object_with_finalizers_is_shown_as_going(api: Api) -> None:
    api.post(f"{CORE}/configmaps", {"metadata": {"name": "a", "finalizers": ["test.dev/hold"]}})
    going = api.delete(f"{CORE}/configmaps/a").json()
    assert going["metadata"]["deletionTimestamp"]
    more = api.patch(f"{CORE}/configmaps/a", {"metadata": {"finalizers": ["test.dev/hold", "test.dev/more"]}})
    assert "no new finalizers can be added" in more.json()["message"]
    api.patch(f"{CORE}/configmaps/a", {"metadata": {"finalizers": None}})
    assert api.get(f"{CORE}/configmaps/a").status_code == 404


def test_many_objects_are_deleted_by_a_selector(api: Api) -> None:
    for name, labels in (("a", {"g": "1"}), ("b", {"g": "1"}), ("c", {})):
        api.post(f"{CORE}/configmaps", config_map(name, labels=labels))
    gone = api.delete(f"{CORE}/configmaps", labelSelector="g=1").json()
    assert [item["metadata"]["name"] for item in gone["items"]] == ["a", "b"]
    assert [item["metadata"]["name"] for item in api.get(f"{CORE}/configmaps").json()["items"]] == ["c"]


def test_a_dry_run_stores_nothing(api: Api) -> None:
    tried = api.post(
        "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices", inference_service(), dryRun="All"
    )
    assert tried.status_code == 201
    assert api.get("/apis/serving.kserve.io/v1beta1/inferenceservices").json()["items"] == []
    assert api.post(f"{CORE}/configmaps", config_map(), dryRun="Some").status_code == 422


def test_views_of_processes_cannot_be_made_by_clients(api: Api) -> None:
    refused = api.post(f"{CORE}/pods", {"metadata": {"name": "q"}})
    assert (refused.status_code, refused.json()["reason"]) == (403, "Forbidden")
    assert "the engine makes pods itself, from InferenceServices" in refused.json()["message"]


def test_views_of_processes_can_be_labelled_and_deleted(api: Api) -> None:
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"a": 1}, "status": {"phase": "Running"}}
    api.store.create("Pod", pod)
    labelled = api.patch(f"{CORE}/pods/p", {"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Failed"}})
    assert labelled.json()["metadata"]["labels"] == {"a": "b"}
    assert labelled.json()["status"] == {"phase": "Running"}  # written by the engine alone
    assert api.patch(f"{CORE}/pods/p", {"spec": {"a": 2}}).status_code == 422
    assert api.delete(f"{CORE}/pods/p").status_code == 200


def test_other_versions_of_a_kind_show_the_same_objects(api: Api) -> None:
    api.post(ROUTES, route(hostnames=["a.test"]))
    older = ROUTES.replace("/v1/", "/v1beta1/")
    assert api.get(f"{older}/a").json()["apiVersion"] == "gateway.networking.k8s.io/v1beta1"
    assert api.patch(f"{older}/a", {"spec": {"hostnames": ["b.test"]}}).status_code == 200
    assert api.get(f"{ROUTES}/a").json()["spec"]["hostnames"] == ["b.test"]


def test_no_token_is_forbidden_and_a_wrong_one_unauthorized(api: Api) -> None:
    anonymous = api.request("GET", f"{CORE}/configmaps", headers={"Authorization": ""})
    assert anonymous.status_code == 403
    assert 'User "system:anonymous" cannot list resource "configmaps"' in anonymous.json()["message"]
    wrong = api.request("GET", f"{CORE}/configmaps", headers={"Authorization": "Bearer nonsense"})
    assert (wrong.status_code, wrong.json()["message"]) == (401, "Unauthorized")


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version", "/version/"])
def test_health_and_version_need_no_token(api: Api, path: str) -> None:
    assert api.request("GET", path, headers={"Authorization": ""}).status_code == 200


def test_paths_that_are_not_there_are_told_apart(api: Api) -> None:
    assert api.get("/no/such/path").text == "404 page not found\n"
    assert api.get(f"{CORE}/turnips").json()["message"] == "the server could not find the requested resource"
    assert api.get("/apis/apps/v9/deployments").json()["reason"] == "NotFound"
    assert api.get("/apis/serving.kserve.io/v1beta1/namespaces/default/turnips").text == "404 page not found\n"


def test_verbs_that_a_path_does_not_have_are_not_allowed(api: Api) -> None:
    assert api.put(f"{CORE}/configmaps", config_map()).status_code == 405
    assert api.post("/api/v1/configmaps", config_map()).status_code == 405
    assert api.delete("/api/v1/namespaces").status_code == 405
    assert "delete is not supported on resources of kind" in api.delete(f"{ROUTES}/a/status").json()["message"]


def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    refused = api.post(f"{CORE}/configmaps", config_map(data={"k": "x" * 4_000_000}))
    assert refused.json()["reason"] == "RequestEntityTooLarge"
