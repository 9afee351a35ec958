"""YAML as model.yaml uses it: plain values, and the line on which each of them stands.

The scalars are those of YAML 1.2's core schema, not of PyYAML's 1.1: `no` is a word, `1e-9` is a number and
`2026-11-21` stays text, because that is what people mean in a file about columns and grids.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

__all__ = ["Document", "Path", "Problem", "Unreadable", "inline", "read", "spell", "write"]

Path = tuple[str | int, ...]

# An anchor that contains itself, or a pyramid of them, would never end.
_MOST_NODES = 100_000
_MOST_LEVELS = 50

_SCALARS = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("tag:yaml.org,2002:merge", r"<<", ["<"]),
)


@dataclass(frozen=True)
class Problem:
    """One mistake: where it is in the data, and what is wrong."""

    path: Path
    message: str


class Unreadable(Exception):
    """The text is not YAML, or not one plain document; `line` and `column` count from 1."""

    def __init__(self, message: str, *, line: int, column: int) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


@dataclass(frozen=True)
class Document:
    """Plain data with its lines, and the mistakes that only the text shows (keys written twice)."""

    data: Any
    lines: dict[Path, int]
    problems: tuple[Problem, ...] = field(default=())

    def line(self, path: Path) -> int:
        """The line of what is at this path, or of the nearest thing around it when it is missing."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - PyYAML's own way to replace the table


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - the same table, so that what is written is read back

    def ignore_aliases(self, data: Any) -> bool:
        """Never write anchors: the reader is a person or another process, not a graph."""
        return True


for _tag, _pattern, _first in _SCALARS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), _first)


def _whole(loader: _Loader, node: yaml.ScalarNode) -> int:
    digits = str(loader.construct_scalar(node))
    return int(digits, 0) if digits[:2] in {"0o", "0x"} else int(digits)


_Loader.add_constructor("tag:yaml.org,2002:int", _whole)


def read(text: str) -> Document:
    """The document in `text`.

    Raises:
        Unreadable: it is not YAML, holds other than plain values, or has no end.
    """
    try:
        return _document(_Loader(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = error.problem or error.context or "not YAML"
        raise Unreadable(message, line=mark.line + 1 if mark else 1, column=mark.column + 1 if mark else 1) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        raise Unreadable(f"{error.reason} (character {error.character:#x})", line=line, column=1) from error
    except RecursionError as error:
        raise Unreadable("nested too deeply", line=1, column=1) from error


def _document(loader: _Loader) -> Document:
    try:
        node = loader.get_single_node()
        if node is None:
            return Document(None, {(): 1})
        lines, problems = _walk(node)
        return Document(loader.construct_document(node), lines, tuple(problems))
    finally:
        loader.dispose()


def _walk(root: yaml.Node) -> tuple[dict[Path, int], list[Problem]]:
    """Lines by path, and every key that is written twice in one mapping."""
    lines: dict[Path, int] = {(): root.start_mark.line + 1}
    problems: list[Problem] = []
    stack: list[tuple[Path, yaml.Node]] = [((), root)]
    while stack:
        path, node = stack.pop()
        for key, line, child in _children(node):
            at = (*path, key)
            if at in lines:
                problems.append(Problem(at, f"is written twice, on line {lines[at]} and on line {line}"))
            lines[at] = line
            stack.append((at, child))
        if len(lines) > _MOST_NODES or len(path) > _MOST_LEVELS:
            raise Unreadable("too large, or an anchor contains itself", line=root.start_mark.line + 1, column=1)
    return lines, problems


def _children(node: yaml.Node) -> list[tuple[str | int, int, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        return [(str(key.value), key.start_mark.line + 1, value) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [(index, item.start_mark.line + 1, item) for index, item in enumerate(node.value)]
    return []


def write(data: Any) -> str:
    """`data` as YAML, keys in the order given."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def inline(value: Any) -> str:
    """One value as it may stand behind a colon or within brackets: quoted only where it must be."""
    return yaml.dump([value], Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=10**9).strip()[1:-1]


def spell(path: Path) -> str:
    """A path as people write it: `candidates[0].grid.max_depth`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
