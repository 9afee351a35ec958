"""Which Gateways take a route, and for which host names."""

from __future__ import annotations

from typing import Any

import pytest

from turnout.embedded.gateway import attaching
from turnout.embedded.gateway.attaching import Parent
from turnout.embedded.gateway.references import World

Object = dict[str, Any]

ALL = {"namespaces": {"from": "All"}}


def attach(listeners: list[Object], *, hostnames: list[str] | None = None, **reference: Any) -> list[Parent]:
    """A route of namespace `default` at a Gateway of namespace `kserve`."""
    gateway = {"metadata": {"namespace": "kserve"}, "spec": {"listeners": listeners}}
    spec = {"parentRefs": [{"name": "gate", "namespace": "kserve", **reference}]}
    route = {"metadata": {"namespace": "default"}, "spec": {**spec, **({"hostnames": hostnames} if hostnames else {})}}
    labels = {"default": {"team": "a"}}
    world = World(gateways={("kserve", "gate"): gateway}, services={}, listening={}, namespaces=labels)
    return attaching.parents(route, world)


def listener(**more: Any) -> Object:
    return {"name": "http", "port": 8080, "allowedRoutes": ALL, **more}


def test_a_gateway_that_is_not_there_says_nothing() -> None:
    assert attach([listener()], name="other") == []


def test_a_section_or_port_that_no_listener_has_matches_no_parent() -> None:
    assert [parent.hosts for parent in attach([listener()], sectionName="http", port=8080)] == [("*",)]
    for reference in ({"sectionName": "https"}, {"port": 1}):
        assert [parent.reason for parent in attach([listener()], **reference)] == ["NoMatchingParent"]


@pytest.mark.parametrize(
    "allowed",
    [
        {},
        {"namespaces": {"from": "Same"}},
        {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "b"}}}},
        {
            "namespaces": {
                "from": "Selector",
                "selector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]},
            }
        },
        {**ALL, "kinds": [{"kind": "GRPCRoute"}]},
    ],
)
def test_a_listener_may_refuse_routes_of_other_namespaces_and_kinds(allowed: Object) -> None:
    assert [parent.reason for parent in attach([listener(allowedRoutes=allowed)])] == ["NotAllowedByListeners"]


def test_a_listener_may_choose_namespaces_by_label() -> None:
    selector = {"matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}]}
    allowed = {"namespaces": {"from": "Selector", "selector": selector}}
    assert [parent.reason for parent in attach([listener(allowedRoutes=allowed)])] == [""]


def test_a_route_serves_the_hosts_that_it_shares_with_a_listener() -> None:
    found = attach([listener(hostname="*.a.test")], hostnames=["x.a.test", "x.b.test", "*.y.a.test", "*.test"])
    assert found[0].hosts == ("x.a.test", "*.y.a.test", "*.a.test")
    assert attach([listener(hostname="a.test")])[0].hosts == ("a.test",)
    assert attach([listener(hostname="a.test")], hostnames=["b.test"])[0].reason == "NoMatchingListenerHostname"
