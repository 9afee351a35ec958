"""HTTPRoute matches as Envoy route matches, and the order among them that the Gateway API prescribes."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["DEFAULT", "precedence", "prefix_of", "quoted", "route_match", "same_requests"]

Object = dict[str, Any]

DEFAULT: Object = {"path": {"type": "PathPrefix", "value": "/"}}  # of a rule without matches

_PATH_RANK = {"Exact": 0, "RegularExpression": 1, "PathPrefix": 2}


def route_match(match: Object) -> Object:
    """One match of a rule."""
    headers = [
        {"name": header["name"], "string_match": _string_match(header.get("type", "Exact"), header["value"])}
        for header in match.get("headers") or ()
    ]
    if method := match.get("method"):
        headers.append({"name": ":method", "string_match": {"exact": method}})
    queries = [
        {"name": query["name"], "string_match": _string_match(query.get("type", "Exact"), query["value"])}
        for query in match.get("queryParams") or ()
    ]
    found = _path_match(match)
    if headers:
        found["headers"] = headers
    if queries:
        found["query_parameters"] = queries
    return found


def precedence(match: Object) -> tuple[int, int, bool, int, int]:
    """Sorts matches: exact paths, then (as Envoy Gateway has it) expressions, then prefixes, the longest first; then
    a method, then more headers, then more query parameters.
    """
    kind, value = _path(match)
    return (
        _PATH_RANK[kind],
        -len(value),
        "method" not in match,
        -len(match.get("headers") or ()),
        -len(match.get("queryParams") or ()),
    )


def same_requests(match: Object) -> str:
    """A key that two matches share when exactly the same requests fit them."""
    headers = sorted((h["name"].lower(), h.get("type", "Exact"), h["value"]) for h in match.get("headers") or ())
    queries = sorted((q["name"], q.get("type", "Exact"), q["value"]) for q in match.get("queryParams") or ())
    return repr((_path(match), match.get("method"), headers, queries))


def prefix_of(match: Object) -> str:
    """The path prefix of a match without its closing slash: the root is empty."""
    return _path(match)[1].rstrip("/")


def _path(match: Object) -> tuple[str, str]:
    path = match.get("path") or {}
    return path.get("type") or "PathPrefix", path.get("value") or "/"


def _path_match(match: Object) -> Object:
    kind, value = _path(match)
    if kind == "Exact":
        return {"path": value}
    if kind == "RegularExpression":
        return {"safe_regex": {"regex": value}}
    prefix = value.rstrip("/")
    # Whole segments only: /v2 covers /v2 and /v2/models, not /v2x.
    return {"path_separated_prefix": prefix} if prefix else {"prefix": "/"}


def _string_match(kind: str, value: str) -> Object:
    return {"safe_regex": {"regex": value}} if kind == "RegularExpression" else {"exact": value}


def quoted(text: str) -> str:
    """A text that a regular expression matches literally, in RE2 and Python alike."""
    return re.sub(r"([^\w/-])", r"\\\1", text)
