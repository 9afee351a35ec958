from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.apiserver import CORE, ROUTES, RUNTIMES, Api, config_map, opened, route
from turnout.embedded.api import rules, schemas
from turnout.embedded.kinds import KINDS
from turnout.errors import SpecError

TURNOUTS = "/apis/turnout.dev/v1alpha1/namespaces/default/turnouts"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with opened(tmp_path) as api:
        yield api


def causes(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(cause["field"], cause["reason"]) for cause in answer.json()["details"]["causes"]]


def backend(**more: Any) -> dict[str, Any]:
    return route(rules=[{"backendRefs": [{"name": "red", "port": 80, **more}]}])


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        (route(hostnames=["bad host!"]), "spec.hostnames[0]", "FieldValueInvalid"),
        (backend(weight=2_000_000), "spec.rules[0].backendRefs[0].weight", "FieldValueInvalid"),
        (backend(weight=-1), "spec.rules[0].backendRefs[0].weight", "FieldValueInvalid"),
        (backend(port=99999), "spec.rules[0].backendRefs[0].port", "FieldValueInvalid"),
        (route(hostnames="a.test"), "spec.hostnames", "FieldValueTypeInvalid"),
        (route(rules=[{"filters": [{"type": "Teleport"}]}]), "spec.rules[0].filters[0].type", "FieldValueNotSupported"),
        (
            route(rules=[{"matches": [{"headers": [{"name": "x"}]}]}]),
            "spec.rules[0].matches[0].headers[0].value",
            "FieldValueRequired",
        ),
        (route(hostnames=["a.test"] * 17), "spec.hostnames", "FieldValueTooMany"),
        (route(rules=[]), "spec.rules", "FieldValueInvalid"),
        (route(hostnames=[("a" * 63 + ".") * 4 + "test"]), "spec.hostnames[0]", "FieldValueTooLong"),
        (route(rules=[{"name": ""}]), "spec.rules[0].name", "FieldValueInvalid"),
    ],
)
def test_each_fault_of_a_route_is_named_with_its_path(api: Api, body: Any, field: str, reason: str) -> None:
    assert (field, reason) in causes(api.post(ROUTES, body))


def test_rules_are_not_looked_at_while_types_are_wrong(api: Api) -> None:
    found = api.post(ROUTES, route(hostnames="a.test")).json()
    assert "some validation rules were not checked" in found["details"]["causes"][-1]["message"]


def test_elements_with_one_key_twice_are_duplicates() -> None:
    value = [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]
    schema = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    (cause,) = schemas.causes(schema, value, "env")
    assert (cause.field, cause.reason, cause.message) == (
        "env[1]",
        "FieldValueDuplicate",
        'Duplicate value: {"name":"a"}',
    )


def test_numbers_must_fit_their_format() -> None:
    (cause,) = schemas.causes({"type": "integer", "format": "int32"}, 2**31, "port")
    assert "must be of type int32" in cause.message


PREFIX = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x"}
EXACT = [{"path": {"type": "Exact", "value": "/a"}}]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"matches": [{"path": {"type": "Exact", "value": "no-slash"}}]}, "must be an absolute path"),
        ({"matches": [{"path": {"value": "/a//b"}}]}, "must not contain '//'"),
        ({"matches": [{"path": {"value": "/a b"}}]}, "must only contain valid characters"),
        (
            {
                "filters": [{"type": "RequestRedirect", "requestRedirect": {}}],
                "backendRefs": [{"name": "a", "port": 1}],
            },
            "must not be used together with backendRefs",
        ),
        ({"filters": [{"type": "RequestHeaderModifier"}]}, "filter.requestHeaderModifier must be specified"),
        ({"filters": [{"type": "URLRewrite", "urlRewrite": {}, "cors": {}}]}, "filter.cors must be nil"),
        ({"filters": [{"type": "URLRewrite", "urlRewrite": {}}] * 2}, "URLRewrite filter cannot be repeated"),
        (
            {"filters": [{"type": "URLRewrite", "urlRewrite": {"path": PREFIX}}], "matches": EXACT},
            "exactly one PathPrefix match",
        ),
        ({"timeouts": {"request": "1s", "backendRequest": "1500ms"}}, "backendRequest timeout cannot be longer"),
        ({"backendRefs": [{"name": "red"}]}, "Must have port for Service reference"),
    ],
)
def test_each_rule_of_a_route_is_held(api: Api, rule: dict[str, Any], message: str) -> None:
    refused = api.post(ROUTES, route(rules=[rule]))
    assert refused.status_code == 422
    assert message in refused.json()["message"]


@pytest.mark.parametrize(
    "rule",
    [
        {"matches": [{"path": {"type": "RegularExpression", "value": "no-slash//"}}]},
        {"timeouts": {"request": "0s", "backendRequest": "5s"}},
        {"filters": [{"type": "URLRewrite", "urlRewrite": {"path": PREFIX}}]},
        {"backendRefs": [{"name": "a", "kind": "Other", "group": "x.dev"}]},
    ],
)
def test_what_the_rules_allow_passes(api: Api, rule: dict[str, Any]) -> None:
    assert api.post(ROUTES, route(rules=[rule])).status_code == 201


def test_defaults_are_filled_in(api: Api) -> None:
    made = api.post(ROUTES, backend()).json()["spec"]["rules"][0]
    assert made["backendRefs"] == [{"name": "red", "port": 80, "group": "", "kind": "Service", "weight": 1}]
    assert made["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"margin": 2}, "spec.policy.margin"),
        ({"steps": [20, 5]}, "spec.policy.steps"),
        ({"bake": "soon"}, "spec.policy.bake"),
        ({"onFail": "shrug"}, "spec.policy.onFail"),
    ],
)
def test_a_turnout_is_held_to_its_definition(api: Api, policy: dict[str, Any], field: str) -> None:
    body = {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "Turnout",
        "metadata": {"name": "digits"},
        "spec": {"policy": policy},
    }
    assert field in [found for found, _ in causes(api.post(TURNOUTS, body))]


def test_every_rule_of_our_definitions_is_known() -> None:
    for kind in KINDS.values():
        rules.check_known(kind.schema)


def test_a_rule_that_nobody_wrote_is_refused_at_the_start() -> None:
    schema = {"type": "object", "properties": {"a": {"x-kubernetes-validations": [{"rule": "x", "message": "new"}]}}}
    with pytest.raises(SpecError, match="does not know the rule 'new'"):
        rules.check_known(schema)


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"name": "Upper_Case"}, "metadata.name"),
        ({"name": "x" * 300}, "metadata.name"),
        ({}, "metadata.name"),
        ({"name": "a", "labels": {"bad key!": "x"}}, "metadata.labels"),
        ({"name": "a", "labels": {"k": "bad value!"}}, "metadata.labels"),
        ({"name": "a", "labels": {"k": "x" * 64}}, "metadata.labels"),
        ({"name": "a", "labels": {"/k": "x"}}, "metadata.labels"),
        ({"name": "a", "annotations": {"-a/b/c": "y"}}, "metadata.annotations"),
        ({"name": "a", "annotations": {"k": "x" * 300_000}}, "metadata.annotations"),
        ({"name": "a", "finalizers": ["no!"]}, "metadata.finalizers"),
        ({"name": "a", "finalizers": ["orphan", "foregroundDeletion"]}, "metadata.finalizers"),
        ({"generateName": "a."}, "metadata.generateName"),
        (
            {"name": "a", "ownerReferences": [{"apiVersion": "a/b/c", "kind": "Pod", "name": "p", "uid": "u"}]},
            "metadata.ownerReferences.apiVersion",
        ),
        (
            {"name": "a", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]},
            "metadata.ownerReferences.uid",
        ),
    ],
)
def test_metadata_is_checked_for_every_kind(api: Api, metadata: dict[str, Any], field: str) -> None:
    assert field in [found for found, _ in causes(api.post(f"{CORE}/configmaps", {"metadata": metadata}))]
    assert field in [found for found, _ in causes(api.post(ROUTES, {**route(), "metadata": metadata}))]


def test_metadata_of_a_wrong_type_cannot_be_decoded(api: Api) -> None:
    for labels in ({"k": 1}, ["k"]):
        refused = api.post(ROUTES, {**route(), "metadata": {"name": "a", "labels": labels}})
        assert refused.status_code == 400
        assert "json: cannot unmarshal" in refused.json()["message"]
    assert api.post(f"{CORE}/configmaps", {"metadata": "a"}).status_code == 400
    assert api.post(f"{CORE}/configmaps", config_map(data={"k": 1})).status_code == 400


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"data": {"bad key": "x"}}, "data[bad key]"),
        ({"data": {"k": "x"}, "binaryData": {"k": "dg=="}}, "data[k]"),
        ({"data": {"k": "x" * 1_100_000}}, "[]"),
    ],
)
def test_config_maps_are_checked(api: Api, more: dict[str, Any], field: str) -> None:
    assert field in [found for found, _ in causes(api.post(f"{CORE}/configmaps", config_map(**more)))]


def test_texts_of_a_secret_become_data(api: Api) -> None:
    body = {"metadata": {"name": "a"}, "data": {"k": "dg=="}, "stringData": {"k": "word", "l": "other"}}
    made = api.post(f"{CORE}/secrets", body).json()
    assert (made["data"], made["type"], "stringData" in made) == ({"k": "d29yZA==", "l": "b3RoZXI="}, "Opaque", False)


@pytest.mark.parametrize(
    ("secret_type", "fields"),
    [
        ("kubernetes.io/tls", ["data[tls.crt]", "data[tls.key]"]),
        ("kubernetes.io/basic-auth", ["data[username]", "data[password]"]),
    ],
)
def test_typed_secrets_demand_their_keys(api: Api, secret_type: str, fields: list[str]) -> None:
    answer = api.post(f"{CORE}/secrets", {"metadata": {"name": "a"}, "type": secret_type})
    assert [field for field, _ in causes(answer)] == fields


def test_bad_base64_cannot_be_decoded(api: Api) -> None:
    refused = api.post(f"{CORE}/secrets", {"metadata": {"name": "a"}, "data": {"k": "***"}})
    assert (refused.status_code, "illegal base64 data at input byte 0" in refused.json()["message"]) == (400, True)


def test_what_is_immutable_stays(api: Api) -> None:
    api.post(f"{CORE}/configmaps", config_map(data={"k": "x"}, immutable=True))
    changed = api.patch(f"{CORE}/configmaps/a", {"data": {"k": "z"}})
    unlocked = api.patch(f"{CORE}/configmaps/a", {"immutable": False})
    assert causes(changed) == [("data", "FieldValueForbidden")]
    assert causes(unlocked) == [("immutable", "FieldValueForbidden")]


def test_the_type_of_a_secret_stays(api: Api) -> None:
    api.post(f"{CORE}/secrets", {"metadata": {"name": "a"}})
    assert causes(api.patch(f"{CORE}/secrets/a", {"type": "example.com/x"})) == [("type", "FieldValueInvalid")]


def test_an_event_is_about_something_in_its_namespace(api: Api) -> None:
    about = {"kind": "Pod", "name": "p", "namespace": "elsewhere"}
    answer = api.post(f"{CORE}/events", {"metadata": {"name": "e"}, "involvedObject": about})
    assert causes(answer) == [("involvedObject.namespace", "FieldValueInvalid")]


def test_a_runtime_without_containers_is_refused(api: Api) -> None:
    version = "serving.kserve.io/v1alpha1"
    body = {"apiVersion": version, "kind": "ServingRuntime", "metadata": {"name": "a"}, "spec": {}}
    assert causes(api.post(RUNTIMES, body)) == [("spec.containers", "FieldValueRequired")]
