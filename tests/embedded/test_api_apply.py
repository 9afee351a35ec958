from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.embedded.apiserver import CORE, ROUTES, SERVICES, Api, config_map, inference_service, opened, route
from turnout.embedded.api import fields

STEP = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"'])


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with opened(tmp_path) as api:
        yield api


def apply(
    api: Api, who: str, body: dict[str, Any], *, path: str = f"{CORE}/configmaps/a", **query: Any
) -> dict[str, Any]:
    answer = api.patch(path, body, how="apply", fieldManager=who, **query)
    return {**answer.json(), "status": answer.status_code}


def managers(obj: dict[str, Any]) -> dict[str, Any]:
    return {entry["manager"]: entry["fieldsV1"] for entry in obj["metadata"].get("managedFields", [])}


def test_the_first_apply_creates_the_object(api: Api) -> None:
    made = apply(api, "alice", config_map(data={"k": "v"}))
    assert (made["status"], made["data"]) == (201, {"k": "v"})
    assert managers(made) == {"alice": {"f:data": {"f:k": {}}}}


def test_another_value_for_a_managed_field_is_a_conflict(api: Api) -> None:
    apply(api, "alice", config_map(data={"k": "v", "l": "w"}))
    refused = apply(api, "bob", config_map(data={"k": "other", "l": "other"}))
    assert (refused["code"], refused["reason"]) == (409, "Conflict")
    assert refused["message"] == 'Apply failed with 2 conflicts: conflicts with "alice":\n- .data.k\n- .data.l'
    assert [cause["field"] for cause in refused["details"]["causes"]] == [".data.k", ".data.l"]


def test_force_takes_the_field_over(api: Api) -> None:
    apply(api, "alice", config_map(data={"k": "v", "l": "w"}))
    taken = apply(api, "bob", config_map(data={"k": "other"}), force="true")
    assert taken["data"] == {"k": "other", "l": "w"}
    assert managers(taken) == {"alice": {"f:data": {"f:l": {}}}, "bob": {"f:data": {"f:k": {}}}}


def test_the_same_value_is_shared(api: Api) -> None:
    apply(api, "alice", config_map(data={"k": "v"}))
    assert set(managers(apply(api, "bob", config_map(data={"k": "v"})))) == {"alice", "bob"}


def test_a_field_left_out_is_removed_unless_somebody_else_manages_it(api: Api) -> None:
    apply(api, "alice", config_map(data={"mine": "1", "ours": "1"}))
    apply(api, "bob", config_map(data={"ours": "1", "his": "1"}))
    assert apply(api, "alice", config_map())["data"] == {"his": "1", "ours": "1"}
    bare = apply(api, "bob", config_map())
    assert "data" not in bare
    assert managers(bare) == {}


def test_applying_the_same_again_writes_nothing(api: Api) -> None:
    service = inference_service(annotations={"turnout.dev/endpoint": "digits"})
    first = apply(api, "turnout", service, path=f"{SERVICES}/a")
    again = apply(api, "turnout", service, path=f"{SERVICES}/a", force="true")
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_an_update_takes_its_fields_from_those_who_applied_them(api: Api) -> None:
    apply(api, "alice", config_map(data={"k": "v"}))
    patched = api.patch(f"{CORE}/configmaps/a", {"data": {"k": "w"}}, fieldManager="editor").json()
    assert managers(patched) == {"editor": {"f:data": {"f:k": {}}}}
    refused = apply(api, "alice", config_map(data={"k": "v"}))
    assert refused["message"] == 'Apply failed with 1 conflict: conflict with "editor" using v1: .data.k'


def test_without_a_manager_the_program_is_named(api: Api) -> None:
    api.post(f"{CORE}/configmaps", config_map())
    patch = {"data": {"j": "u"}}
    headers = {"User-Agent": "my-tool/2.0 (linux)", "Content-Type": "application/merge-patch+json"}
    patched = api.request("PATCH", f"{CORE}/configmaps/a", json=patch, headers=headers).json()
    assert managers(patched)["my-tool"] == {"f:data": {".": {}, "f:j": {}}}


def test_a_status_is_managed_apart_from_the_rest(api: Api) -> None:
    apply(api, "alice", route(hostnames=["a.test"]), path=f"{ROUTES}/a")
    patched = api.patch(f"{ROUTES}/a/status", {"status": {"parents": []}}, fieldManager="gateway").json()
    entry = next(entry for entry in patched["metadata"]["managedFields"] if entry["manager"] == "gateway")
    assert (entry["subresource"], entry["fieldsV1"]) == ("status", {"f:status": {".": {}, "f:parents": {}}})


def test_rules_of_a_route_belong_to_one_manager_as_a_whole(api: Api) -> None:
    rules = [{"backendRefs": [{"name": "red", "port": 80, "weight": 1}]}]
    made = apply(api, "turnout", route(rules=rules), path=f"{ROUTES}/a")
    assert managers(made)["turnout"] == {"f:spec": {"f:rules": {}}}
    other = [{"backendRefs": [{"name": "red", "port": 80, "weight": 2}]}]
    assert apply(api, "bob", route(rules=other), path=f"{ROUTES}/a")["reason"] == "Conflict"


def test_elements_of_keyed_lists_have_managers_of_their_own(api: Api) -> None:
    def service(*names: str) -> dict[str, Any]:
        env = [{"name": name, "value": "1"} for name in names]
        return inference_service(model={"modelFormat": {"name": "onnx"}, "env": env})

    path = f"{SERVICES}/a"
    apply(api, "alice", service("A"), path=path)
    both = apply(api, "bob", service("B"), path=path)
    assert [entry["name"] for entry in both["spec"]["predictor"]["model"]["env"]] == ["A", "B"]
    left = apply(api, "alice", service(), path=path)
    assert [entry["name"] for entry in left["spec"]["predictor"]["model"]["env"]] == ["B"]


def test_an_empty_container_that_is_applied_stays(api: Api) -> None:
    apply(api, "alice", route(hostnames=["a.test"]), path=f"{ROUTES}/a")
    bare = apply(api, "alice", route(), path=f"{ROUTES}/a")
    assert (bare["status"], "hostnames" in bare["spec"]) == (200, False)


def test_an_object_from_before_the_first_apply_keeps_its_fields(api: Api) -> None:
    api.store.create("ConfigMap", {"metadata": {"name": "a", "namespace": "default"}, "data": {"k": "v"}})
    refused = apply(api, "alice", config_map(data={"k": "w"}))
    assert 'conflict with "before-first-apply" using v1: .data.k' in refused["message"]
    assert apply(api, "alice", config_map(data={"l": "x"}))["data"] == {"k": "v", "l": "x"}


def test_one_empty_entry_resets_all_managers(api: Api) -> None:
    apply(api, "alice", config_map(data={"k": "v"}))
    reset = api.patch(f"{CORE}/configmaps/a", {"metadata": {"managedFields": [{}]}}).json()
    assert "managedFields" not in reset["metadata"]


@pytest.mark.parametrize(
    ("body", "query", "code"),
    [
        (config_map(), {"fieldManager": ""}, 422),
        ({"metadata": {"name": "a"}}, {}, 400),
        (config_map("b"), {}, 400),
        ({**config_map(), "metadata": {"name": "a", "managedFields": [{}]}}, {}, 400),
        ({**config_map(), "metadata": {"name": "a", "uid": "other"}}, {}, 409),
        (config_map(data=["x"]), {}, 500),
        (config_map(dat={}), {}, 500),
        ([], {}, 400),
    ],
)
def test_a_configuration_that_cannot_be_applied_is_refused(
    api: Api, body: Any, query: dict[str, str], code: int
) -> None:
    answer = api.patch(f"{CORE}/configmaps/a", body, how="apply", **{"fieldManager": "m", **query})
    assert answer.status_code == code
    assert api.get(f"{CORE}/configmaps/a").status_code == 404


def test_nothing_is_applied_into_a_namespace_that_is_not_there(api: Api) -> None:
    path = "/api/v1/namespaces/none/configmaps/a"
    assert apply(api, "alice", config_map(), path=path)["details"]["kind"] == "namespaces"


@given(st.frozensets(st.lists(STEP, min_size=1, max_size=4).map(tuple), max_size=8))
def test_a_set_of_fields_survives_the_way_through_its_tree(paths: frozenset[tuple[str, ...]]) -> None:
    assert fields.from_v1(fields.to_v1(paths)) == paths


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (config_map(data={"k": 3}), ".data.k: expected string, got &value.valueUnstructured{Value:3}"),
        (
            config_map(data={"k": [1, "x"]}),
            '.data.k: expected string, got &value.valueUnstructured{Value:[]interface {}{1, "x"}}',
        ),
        (config_map(data=[]), ".data: expected map, got &{[]}"),
        (config_map(immutable={"a": True}), ".immutable: expected boolean, got &{map[a:true]}"),
        (
            {**config_map(), "metadata": {"name": "a", "finalizers": ["x.y/z", "x.y/z"]}},
            '.metadata.finalizers: duplicate entries for key [="x.y/z"]',
        ),
    ],
)
def test_a_configuration_of_wrong_types_is_refused_in_gos_words(api: Api, body: dict[str, Any], text: str) -> None:
    refused = apply(api, "alice", body)
    assert refused["message"] == f"failed to create typed patch object (/a; /v1, Kind=ConfigMap): {text}"
    ports = [{"name": "a", "port": "80"}]
    refused = apply(api, "alice", route(rules=[{"backendRefs": ports}]), path=f"{ROUTES}/a")
    assert refused["message"].endswith(".rules[0].backendRefs[0].port: expected numeric (int or float), got string")


def test_null_is_nothing_in_a_map_and_no_value_of_a_custom_kind(api: Api) -> None:
    made = apply(api, "alice", {**config_map(data={"k": None}), "metadata": {"name": "a", "labels": None}})
    assert (made["status"], made["data"]) == (201, {"k": ""})
    assert managers(made) == {"alice": {"f:data": {"f:k": {}}, "f:metadata": {"f:labels": {}}}}
    refused = apply(api, "alice", route(hostnames=None), path=f"{ROUTES}/a")
    assert refused["code"] == 422
    assert 'spec.hostnames in body must be of type array: "null"' in refused["message"]


def test_who_applies_a_status_owns_nothing_of_the_spec(api: Api) -> None:
    api.post(ROUTES, route())
    made = apply(api, "gateway", {**route(hostnames=["h"]), "status": {"parents": []}}, path=f"{ROUTES}/a/status")
    assert managers(made)["gateway"] == {"f:status": {"f:parents": {}}}
