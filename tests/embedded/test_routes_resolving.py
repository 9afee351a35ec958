"""What routes mean among the objects that are there: rules for Envoy, and the conditions that tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from turnout.embedded.gateway import envoy, resolving
from turnout.embedded.gateway.resolving import World

Object = dict[str, Any]

GATEWAY = {"spec": {"listeners": [{"name": "http", "port": 8080}]}}
SERVICE = {"spec": {"ports": [{"port": 80}]}}
WORLD = World(
    gateways={("kserve", "gate"): GATEWAY},
    services={("default", name): SERVICE for name in ("red", "blue", "empty")},
    listening={
        "default/red/80": frozenset({1001}),
        "default/blue/80": frozenset({1002}),
        "default/empty/80": frozenset(),
    },
)


def route(*rules: Object, name: str = "r", created: str = "2026-01-01T00:00:00Z", **spec: Any) -> Object:
    return {
        "metadata": {"namespace": "default", "name": name, "creationTimestamp": created, "generation": 1, "uid": name},
        "spec": {"parentRefs": [{"name": "gate", "namespace": "kserve"}], "rules": list(rules), **spec},
    }


def to(service: str, **more: Any) -> Object:
    return {"name": service, "port": 80, **more}


def conditions(found: Object) -> dict[str, tuple[str, str]]:
    entries = resolving.conditions(resolving.resolve(found, WORLD), is_taken=True)
    return {entry["type"]: (entry["status"], entry["reason"]) for entry in entries}


def only_route(*rules: Object) -> Object:
    """What Envoy is told for one route."""
    table = resolving.table([resolving.resolve(route(*rules, hostnames=["h"]), WORLD)])
    (host,) = envoy.route_table(table)["virtual_hosts"]
    assert host["domains"] == ["h"]
    (found,) = host["routes"]
    assert isinstance(found, dict)
    return found


def test_weights_become_weighted_clusters_each_with_its_own_stamp() -> None:
    stamps = [{"requestHeaderModifier": {"set": [{"name": "x-turnout-assigned", "value": name}]}} for name in "ab"]
    backends = [to("red", weight=80, filters=stamps[:1]), to("blue", weight=20, filters=stamps[1:])]
    clusters = only_route({"backendRefs": backends})["route"]["weighted_clusters"]["clusters"]
    assert [(entry["name"], entry["weight"]) for entry in clusters] == [("default/red/80", 80), ("default/blue/80", 20)]
    assert [entry["request_headers_to_add"][0]["header"]["value"] for entry in clusters] == ["a", "b"]


def test_a_single_backend_without_a_weight_gets_everything() -> None:
    assert only_route({"backendRefs": [to("red")]})["route"]["weighted_clusters"]["clusters"][0]["weight"] == 1


def test_all_weights_zero_and_no_backends_are_500() -> None:
    assert only_route({"backendRefs": [to("red", weight=0)]})["direct_response"] == {"status": 500}
    assert only_route({})["direct_response"] == {"status": 500}


def test_every_route_is_retried_only_when_the_server_went_away() -> None:
    policy = only_route({"backendRefs": [to("red")]})["route"]["retry_policy"]
    assert policy["retry_on"] == "connect-failure,refused-stream,reset,reset-before-request"
    assert policy["num_retries"] == 2


def test_timeouts_of_the_request_and_of_the_backend() -> None:
    def timeout(**timeouts: str) -> Any:
        return only_route({"backendRefs": [to("red")], "timeouts": timeouts})["route"].get("timeout")

    assert timeout(request="3s", backendRequest="300ms") == "0.300s"
    assert timeout(request="0s") == "0.000s"
    assert timeout() is None


def test_a_missing_service_fails_its_share_and_is_told() -> None:
    found = route({"backendRefs": [to("red"), to("nobody")]})
    resolved = resolving.resolve(found, WORLD)
    assert [backend.cluster for backend in resolved.rules[0].backends] == ["default/red/80", None]
    assert conditions(found) == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("False", "BackendNotFound")}
    assert resolved.problem is not None
    assert resolved.problem.message == (
        "Failed to process route rule 0 backendRef 1: service default/nobody not found."
    )


def test_wrong_ports_kinds_and_namespaces_are_told_apart() -> None:
    assert conditions(route({"backendRefs": [{"name": "red", "port": 81}]}))["ResolvedRefs"][1] == "PortNotFound"
    assert conditions(route({"backendRefs": [to("red", kind="Thing")]}))["ResolvedRefs"][1] == "InvalidKind"
    assert conditions(route({"backendRefs": [to("red", namespace="far")]}))["ResolvedRefs"][1] == "RefNotPermitted"


def test_a_service_without_ready_endpoints_is_told_unless_it_gets_no_requests() -> None:
    assert conditions(route({"backendRefs": [to("empty")]}))["BackendsAvailable"] == ("False", "EndpointsNotFound")
    assert "BackendsAvailable" not in conditions(route({"backendRefs": [to("red"), to("empty", weight=0)]}))


def test_mirrors_get_copies_and_a_missing_one_is_left_out() -> None:
    mirrors = [{"requestMirror": {"backendRef": to(name)}} for name in ("blue", "nobody")]
    found = only_route({"backendRefs": [to("red")], "filters": mirrors})
    assert found["route"]["request_mirror_policies"] == [
        {"cluster": "default/blue/80", "disable_shadow_host_suffix_append": True}
    ]


def test_parents_that_are_not_there_say_nothing_and_wrong_listeners_are_refused() -> None:
    def parents(**reference: Any) -> list[bool]:
        found = route(parentRefs=[{"name": "gate", "namespace": "kserve", **reference}])
        return [is_taken for _, is_taken in resolving.parents(found, WORLD)]

    assert parents(name="other") == []
    assert parents() == parents(sectionName="http") == parents(port=8080) == [True]
    assert parents(sectionName="https") == parents(port=1) == [False]
    refused = resolving.conditions(resolving.resolve(route(), WORLD), is_taken=False)[0]
    assert (refused["status"], refused["reason"]) == ("False", "NoMatchingParent")


def test_of_two_routes_with_one_match_the_older_is_tried_first_and_the_newer_is_told() -> None:
    old = resolving.resolve(route({"backendRefs": [to("red")]}, name="zz", hostnames=["h"]), WORLD)
    new = route({"backendRefs": [to("blue")]}, name="aa", created="2026-01-02T00:00:00Z", hostnames=["h"])
    resolved = [resolving.resolve(new, WORLD), old]
    assert [rule.name for rule in resolving.table(resolved)["h"]] == ["default/zz/rule/0", "default/aa/rule/0"]
    assert resolving.overlaps(resolved) == {("default", "aa"): "default/zz"}


def test_a_route_that_envoy_refuses_is_not_accepted_and_says_why() -> None:
    entry = resolving.conditions(
        resolving.resolve(route(), WORLD), is_taken=True, refused="invalid perl operator: (?="
    )[0]
    assert (entry["status"], entry["reason"]) == ("False", "UnsupportedValue")
    assert "invalid perl operator" in entry["message"]


def test_a_condition_that_says_the_same_again_keeps_its_time() -> None:
    found = resolving.resolve(route({"backendRefs": [to("red")]}), WORLD)
    parent = {"name": "gate"}
    first = resolving.with_status(found.route, [(parent, resolving.conditions(found, is_taken=True))])
    first["status"]["parents"][0]["conditions"][0]["lastTransitionTime"] = "then"
    second = resolving.with_status(first, [(parent, resolving.conditions(found, is_taken=True))])
    assert second == first


def test_the_bootstrap_listens_on_loopback_only_and_shares_its_port_with_nobody(tmp_path: Path) -> None:
    (listener,) = envoy.bootstrap(port=8080, folder=tmp_path)["static_resources"]["listeners"]
    assert listener["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 8080}
    assert listener["enable_reuse_port"] is False


def test_the_access_log_has_the_fields_that_the_ledger_reads() -> None:
    assert set(envoy.ACCESS_LOG_FORMAT) == {
        *("start_time", "request_id", "stamp", "id", "code", "duration_ms", "host", "flags", "cluster")
    }
