"""What is said best with a ConfigMap or an HTTPRoute, and holds for the others too."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.server import TABLE, Server, eventually, reason

pytestmark = pytest.mark.e2e


def config_map(name: str = "a", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, **more.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **more}


def route(name: str = "r", **spec: Any) -> dict[str, Any]:
    version = "gateway.networking.k8s.io/v1"
    return {"apiVersion": version, "kind": "HTTPRoute", "metadata": {"name": name}, "spec": spec}


# Who may ask


def test_a_wrong_token_is_401_and_none_is_401_or_403(server: Server, maps: str) -> None:
    wrong = server.anonymous.get(maps, headers={"Authorization": "Bearer wrong"})
    assert reason(wrong) == (401, "Unauthorized")
    assert server.anonymous.get(maps).status_code in (401, 403)
    assert server.anonymous.get("/version").status_code in (200, 401, 403)


# Patches


@pytest.mark.parametrize(
    ("how", "patch"),
    [
        ("merge", {"data": {"a": None, "c": "3"}}),
        ("strategic", {"data": {"a": None, "c": "3"}}),
        ("json", [{"op": "remove", "path": "/data/a"}, {"op": "add", "path": "/data/c", "value": "3"}]),
    ],
)
def test_each_sort_of_patch_changes_what_it_names(server: Server, maps: str, how: str, patch: Any) -> None:
    server.post(maps, config_map(data={"a": "1", "b": "2"}))
    assert server.patch(f"{maps}/a", patch, how=how).json()["data"] == {"b": "2", "c": "3"}


def test_a_strategic_patch_merges_lists_by_their_keys(server: Server, maps: str) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u-1"}
    server.post(maps, config_map(metadata={"finalizers": ["t.dev/one"]}))
    added = server.patch(f"{maps}/a", {"metadata": {"finalizers": ["t.dev/two"]}}, how="strategic").json()
    assert set(added["metadata"]["finalizers"]) == {"t.dev/one", "t.dev/two"}
    removal = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["t.dev/one", "t.dev/two"]}}
    assert "finalizers" not in server.patch(f"{maps}/a", removal, how="strategic").json()["metadata"]
    owned = server.patch(f"{maps}/a", {"metadata": {"ownerReferences": [owner]}}, how="strategic", dryRun="All")
    assert owned.json()["metadata"]["ownerReferences"][0]["uid"] == "u-1"


def test_a_patch_that_cannot_be_applied_changes_nothing(server: Server, maps: str, routes: str) -> None:
    server.post(maps, config_map(data={"a": "1"}))
    failing = [{"op": "add", "path": "/data/b", "value": "2"}, {"op": "test", "path": "/data/a", "value": "9"}]
    assert reason(server.patch(f"{maps}/a", failing, how="json")) == (422, "Invalid")
    assert reason(server.patch(f"{maps}/a", {"metadata": {"resourceVersion": "1"}})) == (409, "Conflict")
    assert server.get(f"{maps}/a").json()["data"] == {"a": "1"}
    server.post(routes, route())
    assert server.patch(f"{routes}/r", {}, how="strategic").status_code == 415


# Server-side apply


def test_an_apply_removes_what_its_manager_leaves_out(server: Server, maps: str) -> None:
    server.apply(f"{maps}/a", config_map(data={"a": "1", "b": "2"}), manager="one")
    server.apply(f"{maps}/a", config_map(data={"b": "2"}), manager="two")
    left = server.apply(f"{maps}/a", config_map(data={}), manager="one").json()
    assert left["data"] == {"b": "2"}  # the other manager holds it


def test_an_atomic_list_has_one_manager(server: Server, routes: str) -> None:
    server.apply(f"{routes}/r", route(hostnames=["a.test"]), manager="one")
    refused = server.apply(f"{routes}/r", route(hostnames=["a.test", "b.test"]), manager="two")
    assert refused.json()["details"]["causes"][0]["field"] == ".spec.hostnames"
    taken = server.apply(f"{routes}/r", route(hostnames=["b.test"]), manager="two", force="true").json()
    assert taken["spec"]["hostnames"] == ["b.test"]
    holders = [entry["manager"] for entry in taken["metadata"]["managedFields"]]
    assert "two" in holders


def test_an_update_takes_fields_over_from_an_apply(server: Server, maps: str) -> None:
    server.apply(f"{maps}/a", config_map(data={"a": "1"}), manager="one")
    server.patch(f"{maps}/a", {"data": {"a": "2"}}, fieldManager="editor")
    refused = server.apply(f"{maps}/a", config_map(data={"a": "3"}), manager="one")
    assert 'conflict with "editor"' in refused.json()["message"]


# Lists and watches


def test_label_and_field_selectors_choose(server: Server, maps: str) -> None:
    for name, tier in (("a", "x"), ("b", "y"), ("c", "x")):
        server.post(maps, config_map(name, metadata={"labels": {"tier": tier}}))

    def names(**query: str) -> list[str]:
        return [item["metadata"]["name"] for item in server.get(maps, **query).json()["items"]]

    assert names(labelSelector="tier=x") == ["a", "c"]
    assert names(labelSelector="tier in (y)") == ["b"]
    assert names(labelSelector="tier,tier!=x") == ["b"]
    assert names(labelSelector="tier=x", fieldSelector="metadata.name!=a") == ["c"]
    assert reason(server.get(maps, labelSelector="a in")) == (400, "BadRequest")
    assert reason(server.get(maps, fieldSelector="data=x")) == (400, "BadRequest")


def test_a_list_comes_in_chunks_of_one_state(server: Server, maps: str) -> None:
    for name in "abcd":
        server.post(maps, config_map(name, metadata={"labels": {"mine": "1"}}))
    first = server.get(maps, limit=2, labelSelector="mine").json()
    server.delete(f"{maps}/c")
    rest = server.get(maps, limit=2, labelSelector="mine", **{"continue": first["metadata"]["continue"]}).json()
    names = [item["metadata"]["name"] for item in (*first["items"], *rest["items"])]
    assert names == ["a", "b", "c", "d"]
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_a_watch_follows_its_selector(server: Server, maps: str) -> None:
    start = server.get(maps).json()["metadata"]["resourceVersion"]
    server.post(maps, config_map())
    server.patch(f"{maps}/a", {"metadata": {"labels": {"in": "1"}}})
    server.patch(f"{maps}/a", {"metadata": {"labels": {"in": None}}})
    events = server.watch(maps, resourceVersion=start, labelSelector="in")
    assert [event["type"] for event in events] == ["ADDED", "DELETED"]


def test_a_version_that_is_too_old_is_gone(server: Server, maps: str) -> None:
    event = server.watch(maps, resourceVersion="1")[0]
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_bookmarks_tell_how_far_a_watch_is(server: Server, maps: str) -> None:
    events = server.watch(maps, allowWatchBookmarks="true", resourceVersion="0")
    assert all(event["type"] in ("ADDED", "BOOKMARK") for event in events)


# Deletion


def test_finalizers_hold_an_object_until_they_are_gone(server: Server, maps: str) -> None:
    server.post(maps, config_map(metadata={"finalizers": ["t.dev/hold"]}))
    assert "deletionTimestamp" in server.delete(f"{maps}/a").json()["metadata"]
    refused = server.patch(f"{maps}/a", {"metadata": {"finalizers": ["t.dev/hold", "t.dev/more"]}})
    assert reason(refused) == (422, "Invalid")
    assert server.patch(f"{maps}/a", {"metadata": {"finalizers": []}}).status_code == 200
    assert server.get(f"{maps}/a").status_code == 404


def test_preconditions_protect_what_is_newer(server: Server, maps: str) -> None:
    metadata = server.post(maps, config_map()).json()["metadata"]
    assert reason(server.delete(f"{maps}/a", {"preconditions": {"uid": "other"}})) == (409, "Conflict")
    assert reason(server.delete(f"{maps}/a", {"preconditions": {"resourceVersion": "1"}})) == (409, "Conflict")
    assert server.delete(f"{maps}/a", {"preconditions": {"uid": metadata["uid"]}}).status_code == 200


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_dependents_go_with_their_owner(server: Server, maps: str, policy: str) -> None:
    owner = server.post(maps, config_map("owner")).json()
    server.post(maps, config_map("kept", metadata={"ownerReferences": [_reference(owner)]}))
    assert server.delete(f"{maps}/owner", {"propagationPolicy": policy}).status_code == 200
    eventually(lambda: {server.get(f"{maps}/{name}").status_code for name in ("owner", "kept")} == {404})


def test_orphans_stay_without_their_owner(server: Server, maps: str) -> None:
    owner = server.post(maps, config_map("owner")).json()
    server.post(maps, config_map("kept", metadata={"ownerReferences": [_reference(owner)]}))
    server.delete(f"{maps}/owner", {"propagationPolicy": "Orphan"})
    eventually(lambda: server.get(f"{maps}/owner").status_code == 404)
    assert "ownerReferences" not in server.get(f"{maps}/kept").json()["metadata"]


def _reference(owner: dict[str, Any]) -> dict[str, Any]:
    metadata = owner["metadata"]
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"]}


def test_a_namespace_takes_everything_along(server: Server, ns: str, maps: str) -> None:
    server.post(maps, config_map())
    assert server.delete(f"/api/v1/namespaces/{ns}").json()["status"]["phase"] == "Terminating"
    eventually(lambda: server.get(f"/api/v1/namespaces/{ns}").status_code == 404)
    assert server.get(f"{maps}/a").status_code == 404


# Validation and answers


def test_fields_that_are_given_twice_are_named(server: Server, maps: str) -> None:
    body = '{"metadata": {"name": "a"}, "data": {"k": "1", "k": "2"}}'
    headers = {"Content-Type": "application/json"}
    refused = server.client.post(maps, content=body, params={"fieldValidation": "Strict"}, headers=headers)
    assert 'duplicate field "data.k"' in refused.json()["message"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"hostnames": "x"}, "spec.hostnames"),
        (
            {"rules": [{"backendRefs": [{"name": "s", "port": 80, "weight": -1}]}]},
            "spec.rules[0].backendRefs[0].weight",
        ),
        ({"rules": [{"backendRefs": [{"name": "s"}]}]}, "spec.rules[0].backendRefs[0]"),
        ({"rules": [{"matches": [{"path": {"value": "x"}}]}]}, "spec.rules[0].matches[0].path"),
        ({"rules": [{"filters": [{"type": "Nope"}]}]}, "spec.rules[0].filters[0].type"),
    ],
)
def test_a_wrong_spec_is_refused_with_the_path(server: Server, routes: str, spec: Any, field: str) -> None:
    refused = server.post(routes, route(**spec))
    assert reason(refused) == (422, "Invalid")
    assert field in [cause["field"] for cause in refused.json()["details"]["causes"]]


@pytest.mark.parametrize(
    ("spec", "field", "said"),
    [
        ({"policy": {"alpha": 2}}, "spec.policy.alpha", "alpha is at least 0.000001 and at most 0.5"),
        ({"policy": {"margin": 0.75}}, "spec.policy.margin", "margin is at least 0 and at most 0.5"),
        ({"policy": {"margin": -0.01}}, "spec.policy.margin", "margin is at least 0 and at most 0.5"),
        ({"policy": {"steps": [5, 50, 20, 60]}}, "spec.policy.steps", "steps must rise strictly"),
        ({"policy": {"steps": [5, 5]}}, "spec.policy.steps", "steps must rise strictly"),
        ({"policy": {"steps": [100]}}, "spec.policy.steps[0]", "should be less than or equal to 99"),
        ({"policy": {"guardrails": {"errorRate": 2}}}, "spec.policy.guardrails.errorRate", "less than or equal to 1"),
        ({"policy": {"onFail": "panic"}}, "spec.policy.onFail", 'supported values: "rollback", "hold"'),
        ({"policy": {"bake": "soon"}}, "spec.policy.bake", "should match"),
        ({"challengers": ["d-v2"], "shadows": ["d-v2"]}, "spec", "a version is a challenger or a shadow, not both"),
        (
            {"sticky": {"header": "x-user"}, "policy": {"onSecond": "together"}},
            "spec",
            "policy.onSecond must be queue or replace",
        ),
    ],
)
def test_a_bad_turnout_is_refused_with_what_was_wanted(
    server: Server, ns: str, spec: Any, field: str, said: str
) -> None:
    body = {"apiVersion": "turnout.dev/v1alpha1", "kind": "Turnout", "metadata": {"name": "d"}, "spec": spec}
    refused = server.post(f"/apis/turnout.dev/v1alpha1/namespaces/{ns}/turnouts", body)
    assert reason(refused) == (422, "Invalid")
    causes = refused.json()["details"]["causes"]
    assert any(cause["field"] == field and said in cause["message"] for cause in causes), causes


@pytest.mark.parametrize("policy", [{"alpha": 0.5, "margin": 0}, {"alpha": 0.000001, "margin": 0.5, "steps": [99]}])
def test_a_turnout_at_its_limits_is_taken(server: Server, ns: str, policy: Any) -> None:
    body = {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "Turnout",
        "metadata": {"name": "d"},
        "spec": {"policy": policy},
    }
    assert server.post(f"/apis/turnout.dev/v1alpha1/namespaces/{ns}/turnouts", body).status_code == 201


@pytest.mark.parametrize("bad", ["Upper", "a_b", "-a", "a" * 254])
def test_a_bad_name_is_refused(server: Server, maps: str, bad: str) -> None:
    refused = server.post(maps, config_map(bad))
    assert refused.json()["details"]["causes"][0]["field"] == "metadata.name"


def test_what_is_not_there_is_said_in_a_status(server: Server, ns: str, maps: str) -> None:
    missing = server.get(f"{maps}/none").json()
    assert (missing["code"], missing["reason"], missing["details"]) == (
        404,
        "NotFound",
        {"name": "none", "kind": "configmaps"},
    )
    assert server.post(f"/api/v1/namespaces/{ns}-none/configmaps", config_map()).status_code == 404
    assert server.get("/apis/none.example.com/v1/things").status_code == 404
    assert server.request("PUT", maps, json=config_map()).status_code == 405
    assert server.get(maps, accept="text/html").status_code == 406


def test_secrets_take_plain_text_and_give_base64(server: Server, ns: str) -> None:
    secret = {"metadata": {"name": "s"}, "stringData": {"k": "v"}}
    created = server.post(f"/api/v1/namespaces/{ns}/secrets", secret).json()
    assert (created["data"], created["type"], "stringData" in created) == ({"k": "dg=="}, "Opaque", False)


def test_what_is_immutable_stays(server: Server, maps: str) -> None:
    server.post(maps, config_map(data={"a": "1"}, immutable=True))
    assert reason(server.patch(f"{maps}/a", {"data": {"a": "2"}})) == (422, "Invalid")


def test_events_can_be_written_and_found_by_their_object(server: Server, ns: str) -> None:
    about = {"kind": "ConfigMap", "name": "a", "namespace": ns}
    event = {"metadata": {"name": "e"}, "involvedObject": about, "reason": "Tested", "type": "Normal", "message": "m"}
    path = f"/api/v1/namespaces/{ns}/events"
    assert server.post(path, event).status_code == 201
    found = server.get(path, fieldSelector="involvedObject.name=a,reason=Tested").json()["items"]
    assert [item["metadata"]["name"] for item in found] == ["e"]
    assert server.get(f"/apis/events.k8s.io/v1/namespaces/{ns}/events/e").json()["note"] == "m"


def test_tables_can_carry_whole_objects_or_none(server: Server, maps: str) -> None:
    server.post(maps, config_map(data={"a": "1"}))
    whole = server.get(f"{maps}/a", accept=TABLE, includeObject="Object").json()["rows"][0]
    assert (whole["cells"][1], whole["object"]["data"]) == (1, {"a": "1"})
    assert server.get(f"{maps}/a", accept=TABLE, includeObject="None").json()["rows"][0].get("object") is None


def test_aggregated_discovery_lists_groups_and_resources(server: Server) -> None:
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    found = server.get("/apis", accept=accept).json()
    assert found["kind"] == "APIGroupDiscoveryList"
    apps = next(item for item in found["items"] if item["metadata"]["name"] == "apps")
    assert "deployments" in [resource["resource"] for resource in apps["versions"][0]["resources"]]
