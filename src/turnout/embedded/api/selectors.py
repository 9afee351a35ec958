"""Label and field selectors: which objects a list, a watch or a deletion of many is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from turnout.embedded.api import metadata
from turnout.embedded.api.errors import Cause, bad_request, go_quote
from turnout.embedded.kinds import Kind

__all__ = ["Selector", "fields", "labels", "of_request"]

Object = dict[str, Any]
_Test = Callable[[Mapping[str, str]], bool]
_SIGNS = ("=", "==", "!=", ",", "(", ")", "<", ">")
_TOKEN = re.compile(r"\s*(!=|==|=|!|,|\(|\)|<|>|[^\s,()=!<>]+)")

# Kubernetes: only fields that a kind names can be selected by; every kind names these two.
_EVERYWHERE = ("metadata.name", "metadata.namespace")
_FIELDS = {
    "Event": (
        *(
            f"involvedObject.{field}"
            for field in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
        ),
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "Secret": ("type",),
    "Namespace": ("status.phase",),
    "Pod": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
    ),
    "Service": ("spec.clusterIP", "spec.type"),
}


@dataclass(frozen=True)
class Selector:
    """Tests over an object; without any it selects everything."""

    tests: tuple[Callable[[Object], bool], ...] = ()

    def selects(self, obj: Object) -> bool:
        """Whether an object passes all tests."""
        return all(test(obj) for test in self.tests)


def of_request(kind: Kind, query: Mapping[str, str]) -> Selector:
    """The selector of a request's query parameters.

    Raises:
        ApiError: a selector cannot be read, or names a field that cannot be selected by (400).
    """
    return Selector(
        tests=(*labels(query.get("labelSelector", "")).tests, *fields(kind, query.get("fieldSelector", "")).tests)
    )


def labels(text: str) -> Selector:
    """A selector from `a=b,c in (d, e),!f`."""
    if not text.strip():
        return Selector()
    tests = _LabelParser(text).requirements()
    return Selector(tests=tuple(_on_labels(test) for test in tests))


def _on_labels(test: _Test) -> Callable[[Object], bool]:
    return lambda obj: test(obj["metadata"].get("labels") or {})


class _LabelParser:
    """Kubernetes' grammar of label selectors, with its words about mistakes."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._position = 0

    def requirements(self) -> list[_Test]:
        found: list[_Test] = []
        while token := self._peek():
            if token in _SIGNS:
                raise bad_request(f"found '{token}', expected: !, identifier, or 'end of string'")
            found.append(self._requirement())
            end = self._next()
            if end not in ("", ","):
                raise bad_request(f"found '{end}', expected: ',' or 'end of string'")
            if end and (self._peek() in _SIGNS or not self._peek()):
                raise bad_request(f"found '{self._peek()}', expected: identifier after ','")
        return found

    def _next(self) -> str:
        token = self._peek()
        self._position += 1
        return token

    def _peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def _requirement(self) -> _Test:
        is_absent = self._peek() == "!"
        if is_absent:
            self._next()
        key = self._next()
        if not key or key in (*_SIGNS, "!"):
            raise bad_request(f"unable to parse requirement: found '{key}', expected: identifier")
        _refuse_first(metadata.key_causes("<nil>", key))
        if is_absent:
            return lambda values: key not in values
        operator = self._peek()
        if operator in ("", ","):
            return lambda values: key in values
        self._next()
        if operator in ("=", "=="):
            value = self._value(key)
            return lambda values: values.get(key) == value
        if operator == "!=":
            value = self._value(key)
            return lambda values: values.get(key) != value
        if operator in ("in", "notin"):
            return self._among(key, wanted=operator == "in")
        if operator in ("<", ">"):
            return self._compared(key, operator)
        raise bad_request(f"unable to parse requirement: found '{operator}', expected: in, notin, =, ==, !=, gt, lt")

    def _value(self, key: str) -> str:
        value = "" if self._peek() in ("", ",") else self._next()
        _refuse_first(metadata.value_causes(f"values[0][{key}]", value))
        return value

    def _among(self, key: str, *, wanted: bool) -> _Test:
        if (token := self._next()) != "(":
            raise bad_request(f"unable to parse requirement: found '{token}' expected: '('")
        values: set[str] = set()
        if not self._peek():
            raise bad_request("unable to parse requirement: found '', expected: ',', ')' or identifier")
        while (word := self._next()) != ")":
            if not word:
                raise bad_request("unable to parse requirement: found '', expected: ',' or ')'")
            if word != ",":
                _refuse_first(metadata.value_causes(f"values[{len(values)}][{key}]", word))
                values.add(word)
        if wanted:
            return lambda found: found.get(key) in values
        return lambda found: found.get(key) not in values

    def _compared(self, key: str, operator: str) -> _Test:
        limit = self._value(key)
        if not re.fullmatch(r"-?\d+", limit):
            raise bad_request(
                f"unable to parse requirement: values[0]: Invalid value: {go_quote(limit)}: for 'Gt', 'Lt' "
                "operators, the value must be an integer"
            )

        def test(values: Mapping[str, str]) -> bool:
            found = values.get(key, "")
            if not re.fullmatch(r"-?\d+", found):
                return False
            return int(found) > int(limit) if operator == ">" else int(found) < int(limit)

        return test


def _refuse_first(causes: Iterator[Cause]) -> None:
    cause = next(causes, None)
    if cause is not None:
        raise bad_request(f"unable to parse requirement: {cause.field}: {cause.message}")


def fields(kind: Kind, text: str) -> Selector:
    """A selector from `metadata.name=a,type!=b`, over the fields that the kind lets select by."""
    terms = [term for term in re.split(r"(?<!\\),", text) if term]
    return Selector(tests=tuple(_field_test(kind, term) for term in terms))


def _field_test(kind: Kind, term: str) -> Callable[[Object], bool]:
    split = re.fullmatch(r"(.*?)(==|!=|=)(.*)", term)
    if split is None:
        raise bad_request(f"invalid selector: '{term}'; can't understand '{term}'")
    path, operator, value = split[1].strip(), split[2], re.sub(r"\\(.)", r"\1", split[3])
    if re.search(r"(?<!\\)(\\\\)*\\$", split[3]):
        raise bad_request("invalid field selector: invalid escape sequence: \\")
    if strange := re.search(r"(?<!\\)=", split[3]):
        raise bad_request(f"invalid field selector: unescaped character in value: {ord(strange[0])}")
    known = (*_EVERYWHERE, *_FIELDS.get(kind.kind, ()))
    if path not in known:
        raise bad_request(_unknown_field(kind, path))
    if operator == "!=":
        return lambda obj: _field(obj, path) != value
    return lambda obj: _field(obj, path) == value


def _unknown_field(kind: Kind, path: str) -> str:
    if kind.kind in ("ConfigMap", "Lease"):
        names = ", ".join(f'"{name}"' for name in _EVERYWHERE)
        return f'"{path}" is not a known field selector: only {names}'
    return f"field label not supported: {path}"


def _field(obj: Object, path: str) -> str:
    if path == "source":  # an Event's: the reporting component
        return str((obj.get("source") or {}).get("component") or obj.get("reportingComponent") or "")
    value: Any = obj
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return "" if value is None else str(value)
