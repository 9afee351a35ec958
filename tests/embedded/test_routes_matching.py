"""HTTPRoute matches and filters as parts of Envoy routes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from turnout.embedded.gateway import filters, matching

Object = dict[str, Any]


def prefix(value: str) -> Object:
    return {"path": {"type": "PathPrefix", "value": value}}


def test_a_prefix_covers_whole_segments() -> None:
    assert matching.route_match(prefix("/v2")) == {"path_separated_prefix": "/v2"}
    assert matching.route_match(prefix("/v2/")) == {"path_separated_prefix": "/v2"}
    assert matching.route_match(prefix("/")) == {"prefix": "/"}
    assert matching.route_match({}) == {"prefix": "/"}


def test_exact_paths_and_expressions() -> None:
    assert matching.route_match({"path": {"type": "Exact", "value": "/a"}}) == {"path": "/a"}
    expression = {"path": {"type": "RegularExpression", "value": "^/.*$"}}
    assert matching.route_match(expression) == {"safe_regex": {"regex": "^/.*$"}}


def test_headers_methods_and_queries_all_have_to_match() -> None:
    match = {
        "method": "POST",
        "headers": [{"name": "X-A", "value": "1"}, {"name": "x-b", "value": "b.*", "type": "RegularExpression"}],
        "queryParams": [{"name": "q", "value": "2"}],
    }
    found = matching.route_match(match)
    assert found["headers"] == [
        {"name": "X-A", "string_match": {"exact": "1"}},
        {"name": "x-b", "string_match": {"safe_regex": {"regex": "b.*"}}},
        {"name": ":method", "string_match": {"exact": "POST"}},
    ]
    assert found["query_parameters"] == [{"name": "q", "string_match": {"exact": "2"}}]


def test_precedence_is_that_of_the_gateway_api() -> None:
    header = {"name": "x", "value": "1"}
    in_order: list[Object] = [
        {"path": {"type": "Exact", "value": "/a"}},
        {"path": {"type": "RegularExpression", "value": "/a.*"}},
        prefix("/a/long"),
        {**prefix("/a"), "method": "GET"},
        {**prefix("/a"), "headers": [header, {"name": "y", "value": "1"}]},
        {**prefix("/a"), "headers": [header], "queryParams": [{"name": "q", "value": "1"}]},
        {**prefix("/a"), "headers": [header]},
        prefix("/a"),
        prefix("/"),
    ]
    shuffled = in_order[::-1]
    shuffled.sort(key=matching.precedence)
    assert shuffled == in_order


def test_matches_are_the_same_whatever_the_order_and_case_of_their_headers() -> None:
    one = {"headers": [{"name": "A", "value": "1"}, {"name": "b", "value": "2"}]}
    other = {"path": {}, "headers": [{"name": "B", "value": "2"}, {"name": "a", "value": "1", "type": "Exact"}]}
    assert matching.same_requests(one) == matching.same_requests(other)
    assert matching.same_requests(one) != matching.same_requests({**one, "method": "GET"})


def test_quoted_text_matches_itself_only() -> None:
    text = "/v1.0/a+b(c)"
    assert re.fullmatch(matching.quoted(text), text)
    assert not re.fullmatch(matching.quoted(text), "/v1x0/a+b(c)")


def test_header_modifiers_set_add_and_remove_in_both_directions() -> None:
    found = filters.headers(
        [
            {"requestHeaderModifier": {"set": [{"name": "a", "value": "100%"}], "remove": ["c"]}},
            {"responseHeaderModifier": {"add": [{"name": "b", "value": "2"}]}},
        ]
    )
    (request,), (response,) = found["request_headers_to_add"], found["response_headers_to_add"]
    assert request["header"] == {"key": "a", "value": "100%%"}  # a percent sign is Envoy's own syntax
    assert request["append_action"] == "OVERWRITE_IF_EXISTS_OR_ADD"
    assert response["append_action"] == "APPEND_IF_EXISTS_OR_ADD"
    assert found["request_headers_to_remove"] == ["c"]


@pytest.mark.parametrize(
    ("replacement", "path", "rewritten"),
    [("/", "/strip", "/"), ("/", "/strip/a", "/a"), ("/", "/strip//a", "/a")],
)
def test_a_prefix_replaced_by_the_root_leaves_no_double_slash(replacement: str, path: str, rewritten: str) -> None:
    modifier = {"urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": replacement}}}
    found = filters.rewrite([modifier], prefix("/strip"))["regex_rewrite"]
    assert re.sub(found["pattern"]["regex"], found["substitution"], path, count=1) == rewritten


def test_rewrites_of_prefix_path_and_host() -> None:
    path = {"replacePrefixMatch": "/v2/"}
    assert filters.rewrite([{"urlRewrite": {"path": path}}], prefix("/pre")) == {"prefix_rewrite": "/v2"}
    assert filters.rewrite([{"urlRewrite": {"path": path}}], prefix("/"))["regex_rewrite"]["substitution"] == "/v2/"
    full = filters.rewrite([{"urlRewrite": {"hostname": "h", "path": {"replaceFullPath": "/one"}}}], prefix("/"))
    assert full["host_rewrite_literal"] == "h"
    assert full["regex_rewrite"]["substitution"] == "/one"
    assert filters.rewrite([], prefix("/")) == {}


def test_a_redirect_is_302_unless_it_says_otherwise() -> None:
    assert filters.redirect([{"requestRedirect": {"hostname": "h"}}], {}) == {
        "response_code": "FOUND",
        "host_redirect": "h",
    }
    wanted = {"statusCode": 301, "scheme": "https", "port": 8443, "path": {"replaceFullPath": "/x"}}
    assert filters.redirect([{"requestRedirect": wanted}], {}) == {
        "response_code": "MOVED_PERMANENTLY",
        "scheme_redirect": "https",
        "port_redirect": 8443,
        "path_redirect": "/x",
    }
    assert filters.redirect([], {}) is None


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("300ms", 0.3), ("1m30s", 90), ("1h", 3600)])
def test_durations_are_read_as_seconds(text: str, seconds: float) -> None:
    assert filters.seconds(text) == pytest.approx(seconds)
