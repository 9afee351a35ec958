from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.embedded.apiserver import CORE, ROUTES, RUNTIMES, Api, config_map, opened, runtime


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with opened(tmp_path) as api:
        yield api


MAPS = f"{CORE}/configmaps"


def partial(shape: str) -> str:
    return f"application/json;as=PartialObjectMetadata{shape};v=v1;g=meta.k8s.io"


def names(answer: httpx.Response) -> list[str]:
    return [item["metadata"]["name"] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("tier=back,env=dev", ["b"]),
        ("tier==back", ["b", "c"]),
        ("tier in (front, back),!env", ["c"]),
        ("tier,tier!=front", ["b", "c"]),
        ("env notin (dev)", ["c"]),
        ("tier==", []),
        ("size>2", ["c"]),
        ("size<3", ["b"]),
        ("", ["a", "b", "c"]),
    ],
)
def test_label_selectors_choose(api: Api, selector: str, expected: list[str]) -> None:
    api.post(MAPS, config_map("a", labels={"tier": "front", "env": "dev"}))
    api.post(MAPS, config_map("b", labels={"tier": "back", "env": "dev", "size": "2"}))
    api.post(MAPS, config_map("c", labels={"tier": "back", "size": "3"}))
    assert names(api.get(MAPS, labelSelector=selector)) == expected


@pytest.mark.parametrize("selector", ["tier in back", "a=b=c", "in (", "a in (b", "a>x", ",", "a b"])
def test_label_selectors_that_cannot_be_read_are_refused(api: Api, selector: str) -> None:
    assert api.get(MAPS, labelSelector=selector).json()["reason"] == "BadRequest"


def test_field_selectors_choose_by_name_and_by_what_an_event_is_about(api: Api) -> None:
    for name in "ab":
        api.post(MAPS, config_map(name))
    assert names(api.get(MAPS, fieldSelector="metadata.name!=a")) == ["b"]
    about = {"kind": "Pod", "name": "p", "namespace": "default"}
    api.post(f"{CORE}/events", {"metadata": {"name": "e"}, "involvedObject": about, "source": {"component": "me"}})
    assert names(api.get(f"{CORE}/events", fieldSelector="involvedObject.name=p,source=me")) == ["e"]
    assert names(api.get(f"{CORE}/events", fieldSelector="involvedObject.name=q")) == []


@pytest.mark.parametrize(
    ("path", "selector", "message"),
    [
        (MAPS, "data.k=v", '"data.k" is not a known field selector'),
        (ROUTES, "spec.hostnames=x", "field label not supported: spec.hostnames"),
        (MAPS, "metadata.name", "can't understand 'metadata.name'"),
    ],
)
def test_fields_that_cannot_be_selected_by_are_refused(api: Api, path: str, selector: str, message: str) -> None:
    refused = api.get(path, fieldSelector=selector)
    assert refused.status_code == 400
    assert message in refused.json()["message"]


def test_a_list_comes_in_pages_of_one_state(api: Api) -> None:
    for name in "abc":
        api.post(MAPS, config_map(name))
    first = api.get(MAPS, limit=2)
    metadata = first.json()["metadata"]
    assert (names(first), metadata["remainingItemCount"]) == (["a", "b"], 1)
    api.delete(f"{MAPS}/c")
    api.post(MAPS, config_map("d"))
    rest = api.get(MAPS, limit=2, **{"continue": metadata["continue"]})
    assert names(rest) == ["c"]
    assert rest.json()["metadata"]["resourceVersion"] == metadata["resourceVersion"]


@pytest.mark.parametrize("token", ["nonsense", "e30", "eyJydiI6MX0", "%%%"])
def test_a_broken_continue_token_is_refused(api: Api, token: str) -> None:
    refused = api.get(MAPS, limit=2, **{"continue": token})
    assert refused.status_code == 400
    assert "invalid continue token" in refused.json()["message"]


def test_an_old_continue_token_is_expired(api: Api) -> None:
    old = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MTAsInN0YXJ0IjoiZGVmYXVsdC9hIn0"
    assert api.get(MAPS, limit=2, **{"continue": old}).json()["reason"] == "Expired"


def test_a_list_can_be_of_an_exact_state(api: Api) -> None:
    then = api.post(MAPS, config_map("a")).json()["metadata"]["resourceVersion"]
    api.post(MAPS, config_map("b"))
    assert names(api.get(MAPS, resourceVersion=then, resourceVersionMatch="Exact")) == ["a"]
    assert names(api.get(MAPS, resourceVersion=then, resourceVersionMatch="NotOlderThan")) == ["a", "b"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"resourceVersion": "soon"}, 400),
        ({"resourceVersion": "99999999"}, 504),
        ({"resourceVersion": "5", "resourceVersionMatch": "Exact"}, 410),
        ({"resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersion": "0", "resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersion": "1", "resourceVersionMatch": "Newest"}, 422),
        ({"limit": "many"}, 400),
    ],
)
def test_options_that_do_not_go_together_are_refused(api: Api, query: dict[str, str], code: int) -> None:
    assert api.get(MAPS, **query).status_code == code


def test_lists_go_over_all_namespaces(api: Api) -> None:
    api.post("/api/v1/namespaces", {"metadata": {"name": "other"}})
    api.post(MAPS, config_map("a"))
    api.post("/api/v1/namespaces/other/configmaps", config_map("b"))
    assert names(api.get("/api/v1/configmaps")) == ["a", "b"]


def test_items_of_custom_kinds_carry_their_kind(api: Api) -> None:
    api.post(MAPS, config_map())
    api.post(RUNTIMES, runtime())
    assert "kind" not in api.get(MAPS).json()["items"][0]
    assert api.get(RUNTIMES).json()["items"][0]["kind"] == "ServingRuntime"


def test_metadata_alone_can_be_asked_for(api: Api) -> None:
    api.post(MAPS, config_map(data={"k": "v"}))
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    found = api.get(MAPS, accept=accept).json()
    assert (found["kind"], set(found["items"][0])) == ("PartialObjectMetadataList", {"kind", "apiVersion", "metadata"})


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        (f"{MAPS}/a", partial("List")),
        (MAPS, partial("")),
        (MAPS, "text/html"),
        (MAPS, "application/*"),
        (MAPS, "application/json;as=Nothing;v=v1;g=meta.k8s.io"),
    ],
)
def test_what_cannot_be_shown_that_way_is_not_acceptable(api: Api, path: str, accept: str) -> None:
    api.post(MAPS, config_map("a"))
    assert api.get(path, accept=accept).json()["reason"] == "NotAcceptable"


def test_the_client_gets_the_format_that_it_likes_best(api: Api) -> None:
    api.post(MAPS, config_map("a"))
    answer = api.get(f"{MAPS}/a", accept="application/json;q=0.1, application/yaml;q=0.9, text/plain;q=x")
    assert answer.headers["content-type"] == "application/yaml"


def test_what_was_written_can_be_shown_as_a_row(api: Api) -> None:
    table = "application/json;as=Table;v={};g=meta.k8s.io"
    made = api.request("POST", MAPS, json=config_map("a"), headers={"Accept": table.format("v1beta1")}).json()
    assert (made["apiVersion"], made["rows"][0]["object"]["apiVersion"]) == ("meta.k8s.io/v1beta1",) * 2
    assert made["rows"][0]["cells"][:2] == ["a", 0]
    refused = api.request("POST", MAPS, json=config_map("b"), headers={"Accept": "text/plain"})
    assert (refused.status_code, names(api.get(MAPS))) == (406, ["a"])


def test_a_token_whose_state_is_gone_comes_back_as_one_that_goes_on_anyhow(api: Api) -> None:
    for name in "abc":
        api.post(MAPS, config_map(name))
    token = api.get(MAPS, limit="1").json()["metadata"]["continue"]
    old = json.loads(base64.urlsafe_b64decode(token + "=="))
    stale = base64.urlsafe_b64encode(json.dumps({**old, "rv": 1}).encode()).decode().rstrip("=")
    refused = api.get(MAPS, **{"continue": stale}).json()
    assert (refused["code"], refused["reason"]) == (410, "Expired")
    assert names(api.get(MAPS, **{"continue": refused["metadata"]["continue"]})) == ["b", "c"]
