"""What keeps a user at one version: policies as hashes that Envoy takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.embedded.test_routes_resolving import WORLD, resolve, route, to
from turnout.embedded.gateway import envoy, policies, resolving, xds

Object = dict[str, Any]


def policy(name: str = "p", *, created: str = "2026-01-01T00:00:00Z", kind: str = "HTTPRoute", **hashed: Any) -> Object:
    wanted = {"type": "Header", "header": {"name": "x-user"}, **hashed}
    target = {"group": "gateway.networking.k8s.io", "kind": kind, "name": "r"}
    return {
        "metadata": {"namespace": "default", "name": name, "creationTimestamp": created, "generation": 1},
        "spec": {"targetRefs": [target], "loadBalancer": {"type": "ConsistentHash", "consistentHash": wanted}},
    }


def test_a_policy_makes_the_hash_choose_version_and_endpoint() -> None:
    world = replace(WORLD, policies=[policy()])
    found = route({"backendRefs": [to("red", weight=80), to("blue", weight=20)]}, hostnames=["h"])
    table = resolving.table([resolve(found, world)])
    action = envoy.route_table(table)["virtual_hosts"][0]["routes"][0]["route"]
    assert action["hash_policy"] == [{"header": {"header_name": "x-user"}}]
    assert action["weighted_clusters"]["use_hash_policy"] is True
    names = {"default/red/80/hashed", "default/blue/80/hashed"}
    assert {entry["name"] for entry in action["weighted_clusters"]["clusters"]} == names
    clusters = xds.Configuration.of(table, listening=world.listening).clusters
    assert {name for name in clusters if name.endswith("hashed")} == names
    assert clusters["default/red/80/hashed"] == clusters["default/red/80"]


def test_a_route_without_a_policy_is_drawn_at_random() -> None:
    other = policy()
    other["spec"]["targetRefs"][0]["name"] = "other"
    assert policies.hash_policy(route(), [other]) == ()


def test_every_type_of_hash_has_its_words_in_envoy() -> None:
    def hashed(**wanted: Any) -> list[Object]:
        found = policy()
        found["spec"]["loadBalancer"]["consistentHash"] = wanted
        return list(policies.hash_policy(route(), [found]))

    assert hashed(type="Headers", headers=[{"name": "a"}, {"name": "b"}]) == [
        {"header": {"header_name": "a"}},
        {"header": {"header_name": "b"}},
    ]
    assert hashed(type="SourceIP") == [{"connection_properties": {"source_ip": True}}]
    assert hashed(type="QueryParams", queryParams=[{"name": "q"}]) == [{"query_parameter": {"name": "q"}}]
    assert hashed(type="Cookie", cookie={"name": "c", "ttl": "1m", "attributes": {"path": "/"}}) == [
        {"cookie": {"name": "c", "ttl": "60.000s", "attributes": [{"name": "path", "value": "/"}]}}
    ]


def test_the_older_of_two_policies_for_a_route_holds_and_the_newer_is_told() -> None:
    old, new = policy("z"), policy("a", created="2026-01-02T00:00:00Z", header={"name": "x-other"})
    world = replace(WORLD, policies=[new, old])
    assert policies.hash_policy(route(), world.policies) == ({"header": {"header_name": "x-user"}},)
    ((ancestor, entry),) = policies.conditions(new, world, [route()])
    assert ancestor == {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "namespace": "kserve",
        "name": "gate",
    }
    assert (entry["status"], entry["reason"]) == ("False", "Conflicted")
    assert [entry["status"] for _, entry in policies.conditions(old, world, [route()])] == ["True"]


def test_a_policy_for_nothing_says_nothing() -> None:
    assert policies.conditions(policy(), replace(WORLD, policies=[policy()]), []) == []
