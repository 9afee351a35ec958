from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.embedded.apiserver import CORE, ROUTES, Api, config_map, opened, route
from turnout.embedded.api import patches
from turnout.embedded.api.errors import ApiError
from turnout.embedded.kinds import KINDS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text("abc", max_size=2), below, max_size=3),
    max_leaves=8,
)
OBJECT = st.dictionaries(st.text("abc", max_size=2), JSON, max_size=3)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with opened(tmp_path) as api:
        yield api


def test_a_merge_patch_sets_and_removes(api: Api) -> None:
    api.post(f"{CORE}/configmaps", config_map(data={"k": "v", "l": "w"}))
    assert api.patch(f"{CORE}/configmaps/a", {"data": {"k": None, "m": "u"}}).json()["data"] == {"l": "w", "m": "u"}


@given(target=OBJECT, patch=OBJECT)
def test_a_merge_patch_applied_twice_is_the_same_as_once(target: dict[str, Any], patch: dict[str, Any]) -> None:
    once = patches.merge_patch(target, patch)
    assert patches.merge_patch(once, patch) == once


@given(before=OBJECT, after=OBJECT)
def test_json_patch_operations_that_replace_everything_give_the_other_object(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    kept = dict(before)
    assert patches.json_patch(before, [{"op": "replace", "path": "", "value": after}]) == after
    assert before == kept


def test_json_patch_operations_work_in_order() -> None:
    operations = [
        {"op": "test", "path": "/data/k", "value": "v"},
        {"op": "add", "path": "/list/-", "value": 3},
        {"op": "add", "path": "/list/0", "value": 0},
        {"op": "remove", "path": "/list/1"},
        {"op": "move", "from": "/data/k", "path": "/data/a~1b"},
        {"op": "copy", "from": "/data/a~1b", "path": "/data/c"},
        {"op": "replace", "path": "/data/new", "value": 1},
    ]
    patched = patches.json_patch({"data": {"k": "v"}, "list": [1, 2]}, operations)
    assert patched == {"data": {"a/b": "v", "c": "v", "new": 1}, "list": [0, 2, 3]}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "test", "path": "/a", "value": True},
        {"op": "remove", "path": "/none"},
        {"op": "remove", "path": "/list/7"},
        {"op": "add", "path": "/list/7", "value": 1},
        {"op": "add", "path": "/list/x", "value": 1},
        {"op": "add", "path": "/none/below", "value": 1},
        {"op": "add", "path": "no-slash", "value": 1},
        {"op": "frobnicate", "path": "/a"},
        {"path": "/a"},
        "add",
    ],
)
def test_json_patch_operations_that_cannot_be_done_are_refused(operation: Any) -> None:
    with pytest.raises(ApiError, match="the server rejected our request") as refused:
        patches.json_patch({"a": 1, "list": [1]}, [operation])
    assert refused.value.status == 422


def test_a_failing_json_patch_changes_nothing(api: Api) -> None:
    api.post(f"{CORE}/configmaps", config_map(data={"k": "v"}))
    operations = [{"op": "add", "path": "/data/l", "value": "w"}, {"op": "test", "path": "/data/k", "value": "x"}]
    assert api.patch(f"{CORE}/configmaps/a", operations, how="json").status_code == 422
    assert api.get(f"{CORE}/configmaps/a").json()["data"] == {"k": "v"}


def test_weights_of_a_route_are_changed_by_index(api: Api) -> None:
    refs = [{"name": "red", "port": 80, "weight": 90}, {"name": "blue", "port": 80, "weight": 10}]
    api.post(ROUTES, route(rules=[{"backendRefs": refs}]))
    operations = [
        {"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 80},
        {"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": 20},
    ]
    patched = api.patch(f"{ROUTES}/a", operations, how="json").json()
    assert [ref["weight"] for ref in patched["spec"]["rules"][0]["backendRefs"]] == [80, 20]
    assert patched["metadata"]["generation"] == 2


def test_the_result_of_a_patch_is_validated(api: Api) -> None:
    api.post(ROUTES, route(rules=[{"backendRefs": [{"name": "red", "port": 80}]}]))
    operation = {"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": -3}
    refused = api.patch(f"{ROUTES}/a", [operation], how="json").json()
    assert refused["details"]["causes"][0]["field"] == "spec.rules[0].backendRefs[0].weight"


def test_a_strategic_patch_merges_sets_and_keyed_lists() -> None:
    def containers(*found: Any) -> dict[str, Any]:
        return {"spec": {"template": {"spec": {"containers": list(found)}}}}

    before = containers({"name": "c", "image": "old", "env": [{"name": "A", "value": "1"}]})
    env = [{"name": "B", "value": "2"}, {"name": "A", "$patch": "delete"}]
    patched = patches.strategic_merge_patch(KINDS["Deployment"].schema, before, containers({"name": "c", "env": env}))
    assert patched == containers({"name": "c", "image": "old", "env": [{"name": "B", "value": "2"}]})


def test_a_strategic_patch_knows_its_directives(api: Api) -> None:
    api.post(f"{CORE}/secrets", {"metadata": {"name": "a", "finalizers": ["t.dev/one"]}, "data": {"k": "dg=="}})
    path = f"{CORE}/secrets/a"
    both = api.patch(path, {"metadata": {"finalizers": ["t.dev/two"]}}, how="strategic").json()
    assert both["metadata"]["finalizers"] == ["t.dev/two", "t.dev/one"]
    ordered = {"$setElementOrder/finalizers": ["t.dev/one", "t.dev/two"]}
    turned = api.patch(path, {"metadata": ordered}, how="strategic").json()
    assert turned["metadata"]["finalizers"] == ["t.dev/one", "t.dev/two"]
    none = {"$deleteFromPrimitiveList/finalizers": ["t.dev/one", "t.dev/two"]}
    assert "finalizers" not in api.patch(path, {"metadata": none}, how="strategic").json()["metadata"]
    replaced = api.patch(path, {"data": {"$patch": "replace", "z": "eg=="}}, how="strategic").json()
    assert replaced["data"] == {"z": "eg=="}


def test_a_strategic_patch_that_does_not_fit_is_refused(api: Api) -> None:
    api.post(f"{CORE}/secrets", {"metadata": {"name": "a", "ownerReferences": []}})
    assert api.patch(f"{CORE}/secrets/a", {"metadata": {"ownerReferences": ["x"]}}, how="strategic").status_code == 422


def test_custom_kinds_know_no_strategic_patch(api: Api) -> None:
    api.post(ROUTES, route())
    refused = api.patch(f"{ROUTES}/a", {"spec": {}}, how="strategic").json()
    assert (refused["code"], refused["reason"]) == (415, "UnsupportedMediaType")


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"metadata": {"name": "b"}}, "does not match the name on the URL"),
        ({"metadata": {"namespace": "other"}}, "does not match the namespace sent on the request"),
        ({"metadata": {"uid": "other"}}, "field is immutable"),
        ({"kind": "Namespace"}, "converting (v1.Namespace) to (core.ConfigMap): unknown conversion"),
        ({"apiVersion": "v2"}, 'no kind "ConfigMap" is registered for version "v2"'),
        ({"metadata": None}, "was undeterminable: name must be provided"),
        ([1], "cannot unmarshal array into Go value of type map[string]interface {}"),
    ],
)
def test_a_patch_cannot_make_another_object(api: Api, patch: Any, message: str) -> None:
    api.post(f"{CORE}/configmaps", config_map())
    refused = api.patch(f"{CORE}/configmaps/a", patch)
    assert refused.status_code in (400, 422)
    assert message in refused.json()["message"]


def test_a_patch_that_changes_nothing_keeps_the_version(api: Api) -> None:
    version = api.post(f"{CORE}/configmaps", config_map(data={"n": "1"})).json()["metadata"]["resourceVersion"]
    patched = api.patch(f"{CORE}/configmaps/a", {"data": {"n": "1"}}).json()
    assert patched["metadata"]["resourceVersion"] == version


def test_a_patch_with_an_old_version_is_a_conflict(api: Api) -> None:
    old = api.post(f"{CORE}/configmaps", config_map()).json()["metadata"]["resourceVersion"]
    api.patch(f"{CORE}/configmaps/a", {"data": {"k": "v"}})
    patch = {"metadata": {"resourceVersion": old}, "data": {"k": "w"}}
    assert api.patch(f"{CORE}/configmaps/a", patch).json()["reason"] == "Conflict"


def test_strange_fields_in_a_patch_are_refused_when_strictness_is_asked_for(api: Api) -> None:
    api.post(ROUTES, route())
    refused = api.patch(f"{ROUTES}/a", {"spec": {"hosts": []}}, fieldValidation="Strict").json()
    assert refused["code"] == 422
    assert refused["message"].endswith('strict decoding error: unknown field "spec.hosts"')


def test_a_missing_object_cannot_be_patched(api: Api) -> None:
    assert api.patch(f"{ROUTES}/none", {"spec": {}}).status_code == 404
