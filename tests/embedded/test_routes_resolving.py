"""What routes mean among the objects that are there: rules for Envoy, and the conditions that tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from turnout.embedded.gateway import attaching, envoy, resolving
from turnout.embedded.gateway import conditions as statuses
from turnout.embedded.gateway.references import World
from turnout.embedded.gateway.resolving import Resolved

Object = dict[str, Any]

LISTENER = {"name": "http", "port": 8080, "allowedRoutes": {"namespaces": {"from": "All"}}}
GATEWAY = {"metadata": {"namespace": "kserve", "name": "gate"}, "spec": {"listeners": [LISTENER]}}
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


def resolve(found: Object, world: World = WORLD) -> Resolved:
    return resolving.resolve(found, attaching.parents(found, world), world)


def conditions(found: Object, world: World = WORLD) -> dict[str, tuple[str, str]]:
    resolved = resolve(found, world)
    entries = statuses.conditions(resolved, resolved.parents[0])
    return {entry["type"]: (entry["status"], entry["reason"]) for entry in entries}


def only_route(*rules: Object) -> Object:
    """What Envoy is told for one route."""
    table = resolving.table([resolve(route(*rules, hostnames=["h"]))])
    (host,) = envoy.route_table(table)["virtual_hosts"]
    assert host["domains"] == ["h"]
    (found,) = host["routes"]
    assert isinstance(found, dict)
    return found


def test_weights_become_weighted_clusters_each_with_its_own_stamp() -> None:
    stamps = [
        {
            "type": "RequestHeaderModifier",
            "requestHeaderModifier": {"set": [{"name": "x-turnout-assigned", "value": name}]},
        }
        for name in "ab"
    ]
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
    assert policy["num_retries"] == 3


def test_timeouts_of_the_request_and_of_the_backend() -> None:
    def timeout(**timeouts: str) -> Any:
        return only_route({"backendRefs": [to("red")], "timeouts": timeouts})["route"].get("timeout")

    assert timeout(request="3s", backendRequest="300ms") == "0.300s"
    assert timeout(request="0s") == "0.000s"
    assert timeout() is None


def test_a_missing_service_fails_its_share_and_is_told() -> None:
    found = route({"backendRefs": [to("red"), to("nobody")]})
    resolved = resolve(found)
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
    mirrors = [{"type": "RequestMirror", "requestMirror": {"backendRef": to(name)}} for name in ("blue", "nobody")]
    found = only_route({"backendRefs": [to("red")], "filters": mirrors})
    (policy,) = found["route"]["request_mirror_policies"]
    assert (policy["cluster"], policy["disable_shadow_host_suffix_append"]) == ("default/blue/80", True)
    assert policy["runtime_fraction"]["default_value"]["numerator"] == 1_000_000


def test_a_mirror_may_get_a_part_of_the_requests_only() -> None:
    def numerator(**share: Any) -> int:
        mirror = {"requestMirror": {"backendRef": to("blue"), **share}}
        found = only_route({"backendRefs": [to("red")], "filters": [{"type": "RequestMirror", **mirror}]})
        (policy,) = found["route"]["request_mirror_policies"]
        return int(policy["runtime_fraction"]["default_value"]["numerator"])

    assert numerator(percent=5) == 50_000
    assert numerator(fraction={"numerator": 1, "denominator": 1000}) == 1_000


def test_a_filter_that_the_gateway_does_not_have_fails_its_requests_and_is_told() -> None:
    found = route({"backendRefs": [to("red")], "filters": [{"type": "CORS", "cors": {}}]})
    assert conditions(found)["Accepted"] == ("False", "UnsupportedValue")
    assert only_route(*found["spec"]["rules"])["direct_response"] == {"status": 500}
    inner = to("red", filters=[{"type": "URLRewrite", "urlRewrite": {}}])
    resolved = resolve(route({"backendRefs": [to("blue"), inner]}))
    assert [backend.cluster for backend in resolved.rules[0].backends] == ["default/blue/80", None]
    assert resolved.unsupported == "The gateway refuses this route: filter type URLRewrite is not supported"
    extension = {"type": "ExtensionRef", "extensionRef": {"group": "x.y", "kind": "Z", "name": "n"}}
    strange = resolve(route({"filters": [extension]}))
    assert strange.unsupported == "Invalid filter ExtensionRef: unknown kind x.y/Z."


def test_another_namespaces_service_needs_a_grant_there() -> None:
    def resolved_refs(**target: str) -> tuple[str, str]:
        source = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "default"}
        grant = {
            "metadata": {"namespace": "far", "name": "g"},
            "spec": {"from": [source], "to": [{"group": "", "kind": "Service", **target}]},
        }
        world = replace(WORLD, services={("far", "red"): SERVICE}, grants=[grant])
        return conditions(route({"backendRefs": [to("red", namespace="far")]}), world)["ResolvedRefs"]

    assert resolved_refs() == resolved_refs(name="red") == ("True", "ResolvedRefs")
    assert resolved_refs(name="blue") == resolved_refs(kind="Secret") == ("False", "RefNotPermitted")


def test_of_two_routes_with_one_match_the_older_is_tried_first_and_both_are_told() -> None:
    old = resolve(route({"backendRefs": [to("red")]}, name="zz", hostnames=["h"]))
    new = route({"backendRefs": [to("blue")]}, name="aa", created="2026-01-02T00:00:00Z", hostnames=["h"])
    resolved = [resolve(new), old]
    assert [rule.name for rule in resolving.table(resolved)["h"]] == ["default/zz/rule/0", "default/aa/rule/0"]
    assert resolving.overlaps(resolved) == {("default", "aa"): ["default/zz"], ("default", "zz"): ["default/aa"]}


def test_a_route_that_envoy_refuses_is_not_accepted_and_says_why() -> None:
    resolved = resolve(route())
    entry = statuses.conditions(resolved, resolved.parents[0], refused="invalid perl operator: (?=")[0]
    assert (entry["status"], entry["reason"]) == ("False", "UnsupportedValue")
    assert "invalid perl operator" in entry["message"]


def test_a_condition_that_says_the_same_again_keeps_its_time() -> None:
    found = resolve(route({"backendRefs": [to("red")]}))
    parent = found.parents[0]
    first = statuses.with_parents(found.route, [(parent.reference, statuses.conditions(found, parent))])
    first["status"]["parents"][0]["conditions"][0]["lastTransitionTime"] = "then"
    second = statuses.with_parents(first, [(parent.reference, statuses.conditions(found, parent))])
    assert second == first


def test_the_bootstrap_listens_on_loopback_only_and_shares_its_port_with_nobody(tmp_path: Path) -> None:
    (listener,) = envoy.bootstrap(port=8080, folder=tmp_path)["static_resources"]["listeners"]
    assert listener["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 8080}
    assert listener["enable_reuse_port"] is False


def test_the_access_log_has_the_fields_that_the_ledger_reads() -> None:
    assert set(envoy.ACCESS_LOG_FORMAT) == {
        *("start_time", "request_id", "stamp", "id", "code", "duration_us", "duration_ms", "host", "flags", "cluster")
    }
