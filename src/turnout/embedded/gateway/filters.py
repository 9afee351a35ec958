"""HTTPRoute filters as the fields of an Envoy route that do the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from turnout.embedded.gateway import matching

__all__ = ["headers", "redirect", "rewrite", "seconds"]

Object = dict[str, Any]

_DURATION = re.compile(r"(\d+)(ms|h|m|s)")
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_REDIRECT_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}


def headers(filters: Sequence[Object]) -> Object:
    """What RequestHeaderModifier and ResponseHeaderModifier add and remove, on a route or on a weighted backend."""
    found: Object = {}
    for entry in filters:
        for direction in ("request", "response"):
            if modifier := entry.get(f"{direction}HeaderModifier"):
                _modify(found, modifier, direction)
    return found


def redirect(filters: Sequence[Object], match: Object) -> Object | None:
    """The redirect that answers instead of a backend, if there is one."""
    wanted = next((entry["requestRedirect"] for entry in filters if "requestRedirect" in entry), None)
    if wanted is None:
        return None
    found: Object = {"response_code": _REDIRECT_CODES[wanted.get("statusCode", 302)]}
    names = {"scheme": "scheme_redirect", "hostname": "host_redirect", "port": "port_redirect"}
    found |= {name: wanted[key] for key, name in names.items() if key in wanted}
    path = wanted.get("path") or {}
    if "replaceFullPath" in path:
        found["path_redirect"] = path["replaceFullPath"]
    elif "replacePrefixMatch" in path:
        found |= _prefix_rewrite(match, path["replacePrefixMatch"])
    return found


def rewrite(filters: Sequence[Object], match: Object) -> Object:
    """What URLRewrite changes on the way to the backend; the query stays."""
    wanted: Object = next((entry["urlRewrite"] for entry in filters if "urlRewrite" in entry), {})
    found: Object = {}
    if "hostname" in wanted:
        found = {"host_rewrite_literal": wanted["hostname"], "append_x_forwarded_host": True}
    path = wanted.get("path") or {}
    if "replaceFullPath" in path:
        found |= _regex_rewrite("^/.*$", path["replaceFullPath"])
    elif "replacePrefixMatch" in path:
        found |= _prefix_rewrite(match, path["replacePrefixMatch"])
    return found


def seconds(duration: str) -> float:
    """A duration of the Gateway API (GEP-2257), such as 1m30s or 300ms."""
    return sum(int(number) * _UNIT_S[unit] for number, unit in _DURATION.findall(duration))


def _modify(found: Object, modifier: Object, direction: str) -> None:
    added = [_header(entry, "OVERWRITE_IF_EXISTS_OR_ADD") for entry in modifier.get("set") or ()]
    added += [_header(entry, "APPEND_IF_EXISTS_OR_ADD") for entry in modifier.get("add") or ()]
    if added:
        found.setdefault(f"{direction}_headers_to_add", []).extend(added)
    if removed := modifier.get("remove"):
        found.setdefault(f"{direction}_headers_to_remove", []).extend(removed)


def _header(entry: Object, action: str) -> Object:
    # Envoy fills in %NAME% in values; the Gateway API has no such thing.
    value = entry["value"].replace("%", "%%")
    return {"header": {"key": entry["name"], "value": value}, "append_action": action, "keep_empty_value": True}


def _prefix_rewrite(match: Object, replacement: str) -> Object:
    """Replace whole segments, without leaving a double slash or none at all."""
    prefix, target = matching.prefix_of(match), replacement.rstrip("/")
    if not target:
        return _regex_rewrite(f"^{matching.quoted(prefix)}/*", "/")
    if not prefix:
        return _regex_rewrite("^/", f"{target}/")
    return {"prefix_rewrite": target}


def _regex_rewrite(pattern: str, text: str) -> Object:
    return {"regex_rewrite": {"pattern": {"regex": pattern}, "substitution": text.replace("\\", "\\\\")}}
