from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.apiserver import CORE, ROUTES, Api, opened
from turnout.embedded.api import bodies, protobuf
from turnout.embedded.api.errors import ApiError


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with opened(tmp_path) as api:
        yield api


def send(api: Api, text: str | bytes, *, content_type: str = "application/json", **query: str) -> dict[str, Any]:
    answer = api.request(
        "POST", f"{CORE}/configmaps", content=text, params=query, headers={"Content-Type": content_type}
    )
    return {**answer.json(), "status": answer.status_code, "warnings": answer.headers.get_list("warning")}


def test_yaml_is_read_where_the_content_type_says_so(api: Api) -> None:
    made = send(api, "metadata: {name: a}\ndata: {k: v}\n", content_type="application/yaml")
    assert (made["status"], made["data"]) == (201, {"k": "v"})


def test_a_bare_y_is_a_truth_value_as_in_yaml_of_go(api: Api) -> None:
    refused = send(api, "metadata: {name: y}\n", content_type="application/yaml")
    assert refused["status"] == 400
    assert "cannot unmarshal bool into Go struct field ObjectMeta.metadata.name of type string" in refused["message"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{nope", "invalid character 'n' looking for beginning of object key string"),
        ('{"a": nope}', "invalid character 'n' looking for beginning of value"),
        ('{"a"', "unexpected end of JSON input"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ("{} x", "invalid character 'x' after top-level value"),
    ],
)
def test_json_that_cannot_be_read_is_explained_in_gos_words(api: Api, text: str, message: str) -> None:
    refused = send(api, text)
    assert refused["status"] == 400
    assert message in refused["message"]


def test_nesting_beyond_reason_is_refused(api: Api) -> None:
    assert send(api, "[" * 500 + "]" * 500)["status"] == 400


def test_unknown_media_types_are_refused(api: Api) -> None:
    assert send(api, "x", content_type="text/plain")["status"] == 415


def test_doubled_fields_are_found_in_lists_and_objects() -> None:
    body = bodies.read_json(b'{"a": {"b": 1, "b": 2}, "c": [{"d": 1, "d": 1}], "e": "x:y"}')
    assert body.value == {"a": {"b": 2}, "c": [{"d": 1}], "e": "x:y"}
    assert body.doubled == ("a.b", "c[0].d")


def test_strict_refuses_and_warn_warns_of_strange_fields(api: Api) -> None:
    text = '{"metadata":{"name":"a","nom":"x"},"data":{"k":"1","k":"2"},"dat":1}'
    complaints = ['unknown field "metadata.nom"', 'duplicate field "data.k"', 'unknown field "dat"']
    refused = send(api, text, fieldValidation="Strict")
    assert refused["status"] == 400
    assert refused["message"].endswith("strict decoding error: " + ", ".join(complaints))
    warned = send(api, text, fieldValidation="Warn")
    assert warned["status"] == 201
    assert [warning.replace('\\"', '"') for warning in warned["warnings"]] == [f'299 - "{text}"' for text in complaints]


def test_ignore_is_silent_and_drops_the_fields_all_the_same(api: Api) -> None:
    made = send(api, '{"metadata":{"name":"a"},"dat":1}', fieldValidation="Ignore")
    assert made["warnings"] == []
    assert "dat" not in made


def test_a_wrong_field_validation_is_invalid(api: Api) -> None:
    assert send(api, '{"metadata":{"name":"a"}}', fieldValidation="Loose")["status"] == 422


# What `kubectl create configmap a --from-literal=k=v` sends.
CONFIG_MAP = bytes.fromhex(
    "6b3873000a0f0a02763112 09436f6e6669674d617012220a180a016112001a0764656661756c7422002a0032003800420012"
    "060a016b1201761a002200".replace(" ", "")
)


def test_protobuf_of_kubectl_is_read(api: Api) -> None:
    made = send(api, CONFIG_MAP, content_type="application/vnd.kubernetes.protobuf")
    assert (made["status"], made["metadata"]["name"], made["data"]) == (201, "a", {"k": "v"})


def test_an_account_that_kubectl_creates_is_read() -> None:
    secret = {"name": "s3"}
    sent = b"k8s\x00\x0a\x14\x0a\x02v1\x12\x0eServiceAccount\x12\x0f\x0a\x05\x0a\x03bot\x12\x04\x1a\x02s3\x20\x00"
    read = protobuf.decode(sent)
    assert read is not None
    assert (read["kind"], read["metadata"], read["secrets"]) == ("ServiceAccount", {"name": "bot"}, [secret])


@pytest.mark.parametrize("data", [b"", b"json?", CONFIG_MAP[:20], CONFIG_MAP[:-20], b"k8s\x00\xff\xff\xff"])
def test_damaged_protobuf_is_refused(data: bytes) -> None:
    try:
        read = protobuf.decode(data)
    except ValueError:
        return
    assert read is None


def test_protobuf_of_other_kinds_is_an_unknown_format(api: Api) -> None:
    pod = b"k8s\x00\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x00"
    assert send(api, pod, content_type="application/vnd.kubernetes.protobuf")["status"] == 415


def test_yaml_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ApiError, match="error converting YAML to JSON"):
        bodies.read_yaml(b"metadata: [")


def test_a_route_with_strange_fields_is_stored_without_them(api: Api) -> None:
    body = (
        '{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"name":"a"},"spec":{"hosts":[]}}'
    )
    made = api.request("POST", ROUTES, content=body, headers={"Content-Type": "application/json"})
    assert made.headers["warning"] == '299 - "unknown field \\"spec.hosts\\""'
    assert "hosts" not in made.json()["spec"]
