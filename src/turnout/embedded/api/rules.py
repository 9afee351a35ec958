"""Conditions that a schema cannot say in types and limits: the `x-kubernetes-validations` of our definitions.

A cluster evaluates their CEL expressions. The engine has each of them as a Python predicate, found by its message, and
refuses to start with a rule that it does not know: a silent gap would let objects pass here that a cluster refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from turnout.embedded.api import schemas
from turnout.embedded.api.errors import Cause, invalid_value
from turnout.errors import SpecError

__all__ = ["causes", "check_known"]

Object = dict[str, Any]
_Holds = Callable[[Any], bool]

_PATH_TYPES = ("Exact", "PathPrefix")
_VALID_PATH = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+")
_DURATION = re.compile(r"(\d+)(h|ms|m|s)")
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def causes(schema: schemas.Schema, value: Any, path: str = "") -> Iterator[Cause]:
    """The rules of a schema that a value breaks, outer ones first."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if not _RULES[rule["message"]](value):
            shown = {"object": "object", "array": "array"}.get(schema["type"], value)
            yield invalid_value(path, shown, rule["message"])
    if isinstance(value, dict):
        for key, item in value.items():
            known = schemas.of_field(schema, key)
            if known is not None:
                yield from causes(known, item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from causes(schemas.of_items(schema), item, f"{path}[{index}]")


def check_known(schema: schemas.Schema) -> None:
    """Refuse a schema with a rule that has no predicate here.

    Raises:
        SpecError: there is one.
    """
    for rule in schema.get("x-kubernetes-validations", ()):
        if rule.get("message") not in _RULES:
            raise SpecError(f"the engine does not know the rule {rule.get('message')!r} ({rule['rule']})")
    below = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    for item in below:
        if isinstance(item, dict):
            check_known(item)


def _plain_path(holds: Callable[[str], bool]) -> _Holds:
    """A rule about paths that are no regular expressions."""
    return lambda match: match.get("type") not in _PATH_TYPES or holds(match.get("value", ""))


def _without(part: str) -> _Holds:
    return _plain_path(lambda value: part not in value)


def _at_most_one(filter_type: str) -> _Holds:
    return lambda filters: sum(1 for item in filters if item.get("type") == filter_type) <= 1


def _replaces_prefix(filters: list[Object], field: str) -> bool:
    paths = [item.get(field, {}).get("path", {}) for item in filters]
    return sum(1 for p in paths if p.get("type") == "ReplacePrefixMatch" and "replacePrefixMatch" in p) == 1


def _one_prefix_match(rule: Object) -> bool:
    matches = rule.get("matches", [])
    return len(matches) == 1 and matches[0].get("path", {}).get("type") == "PathPrefix"


def _prefix_rule(field: str) -> _Holds:
    return lambda rule: not _replaces_prefix(rule.get("filters", []), field) or _one_prefix_match(rule)


def _backend_prefix_rule(field: str) -> _Holds:
    def holds(rule: Object) -> bool:
        backends = rule.get("backendRefs", [])
        replacing = sum(1 for backend in backends if _replaces_prefix(backend.get("filters", []), field))
        return replacing != 1 or _one_prefix_match(rule)

    return holds


def _no_redirect_with_backends(rule: Object) -> bool:
    redirects = any("requestRedirect" in item for item in rule.get("filters", []))
    return not (rule.get("backendRefs") and redirects)


def _few_matches(rules: list[Object]) -> bool:
    return sum(len(rule.get("matches", [])) for rule in rules) <= 128


def _redirect_or_rewrite(filters: list[Object]) -> bool:
    types = {item.get("type") for item in filters}
    return not {"RequestRedirect", "URLRewrite"} <= types


def _has_port(reference: Object) -> bool:
    is_service = reference.get("group", "") == "" and reference.get("kind", "Service") == "Service"
    return not is_service or "port" in reference


def _seconds(text: str) -> float:
    return sum(int(number) * _UNIT_S[unit] for number, unit in _DURATION.findall(text))


def _timeouts_fit(timeouts: Object) -> bool:
    if "request" not in timeouts or "backendRequest" not in timeouts:
        return True
    request = _seconds(timeouts["request"])
    return request == 0 or _seconds(timeouts["backendRequest"]) <= request


def _parent(reference: Object) -> tuple[str, ...]:
    return tuple(str(reference.get(key, "")) for key in ("group", "kind", "name", "namespace"))


def _parents_differ(parents: list[Object]) -> bool:
    seen = {(*_parent(reference), reference.get("sectionName", "")) for reference in parents}
    return len(seen) == len(parents)


def _sections_agree(parents: list[Object]) -> bool:
    """Of several references to one parent, all name a section or none."""
    kinds = {(_parent(reference), bool(reference.get("sectionName"))) for reference in parents}
    return len(kinds) == len({parent for parent, _ in kinds})


def _listeners_differ(*keys: str) -> _Holds:
    def holds(listeners: list[Object]) -> bool:
        return len({tuple(listener.get(key) for key in keys) for listener in listeners}) == len(listeners)

    return holds


def _rise_strictly(steps: list[float]) -> bool:
    return all(lower < upper for lower, upper in pairwise(steps))


def _sticky_pair(spec: Object) -> bool:
    is_sticky = spec.get("sticky", {}).get("header", "") != ""
    return not is_sticky or spec.get("policy", {}).get("onSecond") != "together"


def _only_with(field: str, value: str) -> _Holds:
    return lambda item: field not in item or item.get("type") == value


def _needed_with(field: str, value: str) -> _Holds:
    return lambda item: item.get("type") != value or field in item


def _exactly_with(field: str, value: str) -> _Holds:
    return lambda item: (item.get("type") == value) == (field in item)


def _targets(field: str, key: str, allowed: tuple[str, ...]) -> _Holds:
    """A rule about what a policy refers to: one target, or each of several."""

    def holds(spec: Object) -> bool:
        found = spec.get(field, [])
        return all(target.get(key) in allowed for target in (found if isinstance(found, list) else [found]))

    return holds


_GATEWAY_API = "gateway.networking.k8s.io"
_TARGET_KINDS = ("Gateway", "ListenerSet", "HTTPRoute", "GRPCRoute", "UDPRoute", "TCPRoute", "TLSRoute")
_FILTERS = {
    "requestHeaderModifier": "RequestHeaderModifier",
    "responseHeaderModifier": "ResponseHeaderModifier",
    "requestMirror": "RequestMirror",
    "requestRedirect": "RequestRedirect",
    "urlRewrite": "URLRewrite",
    "cors": "CORS",
    "extensionRef": "ExtensionRef",
}
_SAME_PARENT = "when parentRefs includes 2 or more references to the same parent"
_FOR_PLAIN = "when type one of ['Exact', 'PathPrefix']"
_ONE_PREFIX = "filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified"

_RULES: dict[str, _Holds] = {
    # HTTPRoute: paths
    f"value must be an absolute path and start with '/' {_FOR_PLAIN}": _plain_path(lambda value: value.startswith("/")),
    **{f"must not contain '{part}' {_FOR_PLAIN}": _without(part) for part in ("//", "/./", "/../", "%2f", "%2F", "#")},
    f"must not end with '/..' {_FOR_PLAIN}": _plain_path(lambda value: not value.endswith("/..")),
    f"must not end with '/.' {_FOR_PLAIN}": _plain_path(lambda value: not value.endswith("/.")),
    "must only contain valid characters (matching ^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$) "
    "for types ['Exact', 'PathPrefix']": _plain_path(lambda value: bool(_VALID_PATH.fullmatch(value))),
    # HTTPRoute: filters
    **{f"filter.{f} must be nil if the filter.type is not {t}": _only_with(f, t) for f, t in _FILTERS.items()},
    **{f"filter.{f} must be specified for {t} filter.type": _needed_with(f, t) for f, t in _FILTERS.items()},
    **{
        f"{filter_type} filter cannot be repeated": _at_most_one(filter_type)
        for filter_type in ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "CORS")
    },
    "May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both": (
        _redirect_or_rewrite
    ),
    "replaceFullPath must be specified when type is set to 'ReplaceFullPath'": _needed_with(
        "replaceFullPath", "ReplaceFullPath"
    ),
    "type must be 'ReplaceFullPath' when replaceFullPath is set": _only_with("replaceFullPath", "ReplaceFullPath"),
    "replacePrefixMatch must be specified when type is set to 'ReplacePrefixMatch'": _needed_with(
        "replacePrefixMatch", "ReplacePrefixMatch"
    ),
    "type must be 'ReplacePrefixMatch' when replacePrefixMatch is set": _only_with(
        "replacePrefixMatch", "ReplacePrefixMatch"
    ),
    "Only one of percent or fraction may be specified in HTTPRequestMirrorFilter": lambda mirror: (
        not ("percent" in mirror and "fraction" in mirror)
    ),
    # HTTPRoute: rules and references
    "RequestRedirect filter must not be used together with backendRefs": _no_redirect_with_backends,
    f"When using RequestRedirect {_ONE_PREFIX}": _prefix_rule("requestRedirect"),
    f"When using URLRewrite {_ONE_PREFIX}": _prefix_rule("urlRewrite"),
    f"Within backendRefs, when using RequestRedirect {_ONE_PREFIX}": _backend_prefix_rule("requestRedirect"),
    f"Within backendRefs, When using URLRewrite {_ONE_PREFIX}": _backend_prefix_rule("urlRewrite"),
    "While 16 rules and 64 matches per rule are allowed, the total number of matches across all rules in a route must "
    "be less than 128": _few_matches,
    "Must have port for Service reference": _has_port,
    "backendRequest timeout cannot be longer than request timeout": _timeouts_fit,
    f"sectionName must be specified {_SAME_PARENT}": _sections_agree,
    f"sectionName must be unique {_SAME_PARENT}": _parents_differ,
    # BackendTrafficPolicy
    "either targetRef or targetRefs must be used": lambda spec: ("targetRef" in spec) != ("targetRefs" in spec),
    f"this policy can only have a targetRef.group of {_GATEWAY_API}": _targets("targetRef", "group", (_GATEWAY_API,)),
    f"this policy can only have a targetRefs[*].group of {_GATEWAY_API}": _targets(
        "targetRefs", "group", (_GATEWAY_API,)
    ),
    **{
        f"this policy can only have a {shown}.kind of "
        "Gateway/ListenerSet/HTTPRoute/GRPCRoute/TCPRoute/UDPRoute/TLSRoute": _targets(field, "kind", _TARGET_KINDS)
        for field, shown in (("targetRef", "targetRef"), ("targetRefs", "targetRefs[*]"))
    },
    "If LoadBalancer type is consistentHash, consistentHash field needs to be set.": _exactly_with(
        "consistentHash", "ConsistentHash"
    ),
    **{
        f"If consistent hash type is {field}, the {field} field must be set.": _exactly_with(field, hash_type)
        for field, hash_type in (
            ("header", "Header"),
            ("headers", "Headers"),
            ("cookie", "Cookie"),
            ("queryParams", "QueryParams"),
        )
    },
    # Gateway
    "Listener name must be unique within the Gateway": _listeners_differ("name"),
    "Combination of port, protocol and hostname must be unique for each listener": _listeners_differ(
        "port", "protocol", "hostname"
    ),
    # Turnout
    "steps must rise strictly": _rise_strictly,
    "margin is at least 0 and at most 0.5": lambda margin: 0 <= margin <= 0.5,
    "alpha is at least 0.000001 and at most 0.5": lambda alpha: 0.000001 <= alpha <= 0.5,
    "a version is a challenger or a shadow, not both": lambda spec: (
        not set(spec.get("shadows", ())) & set(spec.get("challengers", ()))
    ),
    "a sticky rollout compares two versions at a time, so policy.onSecond must be queue or replace": _sticky_pair,
    "from and to are both times of day (HH:MM) or both moments (RFC 3339)": lambda window: (
        (len(window["from"]) == 5) == (len(window["to"]) == 5)
    ),
}
