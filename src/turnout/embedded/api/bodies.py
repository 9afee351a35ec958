"""Request bodies: JSON and YAML in, objects out, with the complaints that Go's decoders make.

Kubernetes tells clients about fields that are given twice, so the reader here keeps track of them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import orjson
import yaml

from turnout.embedded.api import protobuf
from turnout.embedded.api.errors import bad_request, unsupported_media_type

__all__ = ["Body", "decode", "go_json_error", "read_json", "read_yaml", "summary"]

_READ = ("application/json", "application/yaml", protobuf.MEDIA_TYPE)
_SUMMARY_MOST = 30  # bytes of a body that a refusal quotes
_NODES_MOST = 100_000  # of a YAML document; a few lines with aliases can stand for billions
_DEEP = 256  # levels; deeper ones are an attack, not an object


@dataclass(frozen=True)
class Body:
    """A decoded body and the paths of fields that stood in it more than once."""

    value: Any
    doubled: tuple[str, ...] = field(default=())


class _Pairs(dict[str, Any]):
    """A JSON object that remembers which of its keys were given twice."""

    doubled: tuple[str, ...] = ()


def _remember(pairs: list[tuple[str, Any]]) -> _Pairs:
    found = _Pairs(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        found.doubled = tuple(dict.fromkeys(key for key in keys if keys.count(key) > 1))
    return found


def decode(data: bytes, content_type: str) -> Body:
    """A body by its content type (JSON without one).

    Raises:
        ApiError: it cannot be read (400), or is in a format that nobody reads (415).
        ValueError: JSON that cannot be read; the caller words it, `go_json_error` helps.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/yaml":
        return read_yaml(data)
    if media_type == protobuf.MEDIA_TYPE:
        return _read_protobuf(data)
    if media_type not in ("", "application/json"):
        raise unsupported_media_type(_READ)
    return read_json(data)


def summary(data: bytes) -> str:
    """The beginning of a body as refusals quote it: JSON objects as text, everything else in hexadecimal."""
    if not data:
        return "<empty>"
    more = " ..." if len(data) > _SUMMARY_MOST else ""
    start = data[:_SUMMARY_MOST]
    return (start.decode("utf-8", errors="replace") if start[:1] == b"{" else start.hex()) + more


def _read_protobuf(data: bytes) -> Body:
    try:
        value = protobuf.decode(data)
    except ValueError as problem:
        raise bad_request(f"the body cannot be read as protobuf: {problem}") from problem
    if value is None:
        raise unsupported_media_type(_READ)
    return Body(value=value)


def read_json(data: bytes) -> Body:
    """JSON with its doubled fields.

    Raises:
        ValueError: it is not JSON, or nested too deep.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        # Half of a surrogate pair is no text for orjson; Go puts the replacement character in its place.
        if rb"\u" not in data:
            raise
        value = _replaced(json.loads(data))
    _refuse_depth(value)
    # The slow reader runs only when a key could stand twice: then the fast one gives fewer keys than the text has.
    if data.count(b":") == _colons(value):
        return Body(value=value)
    slow = json.loads(data, object_pairs_hook=_remember)
    return Body(value=value, doubled=tuple(_doubled(slow, "")))


def read_yaml(data: bytes) -> Body:
    """YAML 1.1 as Go reads it, where a bare y or n is a truth value.

    Raises:
        ApiError: it is not YAML (400).
    """
    try:
        return read_json(data)  # what clients send as YAML is mostly JSON, which is read a hundred times faster
    except ValueError:
        pass
    try:
        value = _load_yaml(data)
        # By way of JSON: dates become texts, keys become texts, and what JSON cannot say is refused.
        return Body(value=orjson.loads(orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)))
    except yaml.MarkedYAMLError as problem:
        line = (problem.problem_mark.line + 1) if problem.problem_mark else 1
        text = _GO_YAML.get(str(problem.context), str(problem.problem))
        raise bad_request(f"error decoding YAML: error converting YAML to JSON: yaml: line {line}: {text}") from problem
    except (yaml.YAMLError, orjson.JSONEncodeError, RecursionError) as problem:
        raise bad_request(f"error decoding YAML: error converting YAML to JSON: yaml: {problem}") from problem


def _load_yaml(data: bytes) -> Any:
    loader = _Loader(data)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _expanded(node, {}) > _NODES_MOST:
            raise yaml.YAMLError("document contains excessive aliasing")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _expanded(node: yaml.Node, known: dict[int, float]) -> float:
    """How many nodes a document has once its aliases are written out; endless for one that contains itself."""
    if id(node) not in known:
        known[id(node)] = float("inf")
        below = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        inner = below if isinstance(node, yaml.CollectionNode) else ()
        known[id(node)] = 1 + sum(_expanded(part, known) for part in inner)
    return known[id(node)]


# PyYAML and go-yaml come from one parser; what libyaml calls the problem, Go says in these words.
_GO_YAML = {"while parsing a flow node": "did not find expected node content"}


class _Loader(yaml.SafeLoader):
    """Safe, and with Go's reading of `y` and `n`; dates stay texts."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.bool_values = {**yaml.SafeLoader.bool_values, "y": True, "n": False}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^[yYnN]$"), list("yYnN"))


def _replaced(value: Any) -> Any:
    if isinstance(value, dict):
        return {_replaced(key): _replaced(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item) for item in value]
    return re.sub(r"[\ud800-\udfff]", "\ufffd", value) if isinstance(value, str) else value


def go_json_error(data: bytes) -> str:
    """What Go's decoder would say of a text that is not JSON."""
    try:
        json.loads(data.decode("latin-1"))
    except json.JSONDecodeError as problem:
        rest = data[problem.pos :].lstrip()
        if not rest:
            return "unexpected end of JSON input"
        char = chr(rest[0]) if 0x20 <= rest[0] < 0x7F else f"\\u{rest[0]:04x}"
        char = {"'": "\\'", "\\": "\\\\"}.get(char, char)
        return f"invalid character '{char}' {_expected(problem.msg, data[: problem.pos])}"
    except RecursionError:
        return "exceeded max depth"
    return "invalid character"


def _expected(message: str, before: bytes) -> str:
    if message.startswith("Expecting property name"):
        return "looking for beginning of object key string"
    if message.startswith("Expecting value"):
        return "looking for beginning of value"
    if message.startswith("Expecting ':'"):
        return "after object key"
    if message.startswith("Extra data"):
        return "after top-level value"
    if "delimiter" in message:
        return "after array element" if _innermost(before) == "[" else "after object key:value pair"
    return "in string literal"


def _innermost(text: bytes) -> str:
    """The bracket that is still open at the end of the beginning of a JSON text."""
    opened: list[str] = []
    for char in re.sub(r'"(?:[^"\\]|\\.)*"', "", text.decode("latin-1")):
        if char in "[{":
            opened.append(char)
        elif char in "]}" and opened:
            opened.pop()
    return opened[-1] if opened else ""


def _colons(value: Any) -> int:
    """A lower bound of the colons in the text of a value: one per key, and those inside of texts."""
    if isinstance(value, dict):
        return sum(1 + key.count(":") + _colons(item) for key, item in value.items())
    if isinstance(value, list):
        return sum(_colons(item) for item in value)
    return value.count(":") if isinstance(value, str) else 0


def _doubled(value: Any, path: str) -> list[str]:
    if isinstance(value, _Pairs):
        own = [f"{path}.{key}".lstrip(".") for key in value.doubled]
        return own + [found for key, item in value.items() for found in _doubled(item, f"{path}.{key}")]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in _doubled(item, f"{path}[{index}]")]
    return []


def _refuse_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > _DEEP:
            raise ValueError("exceeded max depth")
        level = [
            item
            for container in level
            if isinstance(container, dict | list)
            for item in (container.values() if isinstance(container, dict) else container)
        ]
