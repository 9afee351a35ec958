"""Mistakes of a spec that concern more than one field.

They are looked for in the plain data, not in the finished types, so that they are reported together with whatever
else is wrong; every rule therefore stays silent about data of a shape that the types reject anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from turnout.spec.data import LEDGER_SCHEME
from turnout.spec.fields import matches
from turnout.spec.model import TASK_METRICS
from turnout.spec.text import Path, Problem

__all__ = ["check", "did_you_mean", "items", "mapping"]

_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LEDGER_PLACE = re.compile(rf"{LEDGER_SCHEME}({_NAME}/)?{_NAME}")
_FILE_SCHEMES = ("", "file", "http", "https", "ledger", "s3")
_PASSWORD = re.compile(r"://[^/@]*?:([^/@]+)@")
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "string": (str,),
    "bool": (bool,),
    "datetime": (str,),
}


def check(data: dict[str, Any]) -> Iterator[Problem]:
    """Every mistake between fields."""
    yield from _names_given_twice(data, "sources")
    yield from _names_given_twice(data, "candidates")
    yield from _sources(data)
    yield from _keys(data)
    yield from _label(data)
    yield from _metric(data)
    yield from _split(data)
    yield from _time(data)
    yield from _search(data)
    yield from _behaviour(data)
    yield from _beats(data)
    yield from _clustering(data)
    for name, rule in mapping(mapping(data.get("checks")).get("columns")).items():
        yield from _column(("checks", "columns", name), mapping(rule))


def mapping(value: Any) -> dict[str, Any]:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def did_you_mean(word: str, known: list[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no known word is near."""
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""


def _names_given_twice(data: dict[str, Any], block: str) -> Iterator[Problem]:
    seen: dict[Any, int] = {}
    for index, item in enumerate(items(data.get(block))):
        name = mapping(item).get("name")
        if isinstance(name, str) and seen.setdefault(name, index) != index:
            yield Problem((block, index, "name"), f"'{name}' is also the name of {block}[{seen[name]}]")


def _sources(data: dict[str, Any]) -> Iterator[Problem]:
    sources = [mapping(source) for source in items(data.get("sources"))]
    for index, source in enumerate(sources):
        path: Path = ("sources", index)
        yield from _ledger_source(source, path) if _is_ledger(source) else _no_ledger_source(source, path)
        yield from _looked_up(source, path, data)
        yield from _query(source, path, data)
    if sources and not any(map(_is_table, sources)) and not any(map(_is_ledger, sources)):
        field = "append" if _is_appended(sources[0]) else "on"
        words = "append to" if field == "append" else "look anything up for"
        yield Problem(
            ("sources", 0, field), f"there is nothing to {words}; one source at least must be the table itself"
        )


def _ledger_source(source: dict[str, Any], path: Path) -> Iterator[Problem]:
    if not _LEDGER_PLACE.fullmatch(str(source["path"])):
        wanted = f"{LEDGER_SCHEME}endpoint or {LEDGER_SCHEME}namespace/endpoint was wanted"
        yield Problem((*path, "path"), f"{wanted}, found '{source['path']}'")
    if source.get("append") is False:
        yield Problem((*path, "append"), "what the ledger holds are rows; it has no keys to be joined on")


def _no_ledger_source(source: dict[str, Any], path: Path) -> Iterator[Problem]:
    for field in ("since", "until", "versions"):
        if source.get(field) is not None:
            yield Problem((*path, field), f"only a {LEDGER_SCHEME} source has predictions to choose from")


def _looked_up(source: dict[str, Any], path: Path, data: dict[str, Any]) -> Iterator[Problem]:
    if _is_appended(source) and _is_looked_up(source):
        yield Problem(
            (*path, "on" if source.get("on") is not None else "as_of"), "rows are appended or looked up, not both"
        )
    if source.get("as_of") is not None and data.get("time") is None:
        yield Problem(
            (*path, "as_of"), "as of which time? name the column that says when a row was in the spec's `time`"
        )
    if source.get("as_of") is None:
        for field in ("delay", "max_age"):
            if source.get(field) is not None:
                yield Problem((*path, field), "only a source with as_of has values that were known since some time")
        if source.get("on") in ([], {}):
            yield Problem((*path, "on"), "name at least one column to look the source up by")
    if source.get("prefix") is not None and not _is_looked_up(source):
        yield Problem((*path, "prefix"), "only a source that is looked up (`on`, `as_of`) gets other column names")


def _query(source: dict[str, Any], path: Path, data: dict[str, Any]) -> Iterator[Problem]:
    place = str(source.get("path"))
    scheme = place.partition("://")[0] if "://" in place else ""
    if source.get("query") is None:
        if scheme not in _FILE_SCHEMES:
            yield Problem((*path, "path"), f"'{scheme}' is no place for files; a database needs a `query`, too")
        return
    if scheme in _FILE_SCHEMES:
        yield Problem(
            (*path, "query"), "only a database answers queries; its path is such as postgresql+psycopg://host/shop"
        )
    if (password := _PASSWORD.search(place)) and "${" not in password[1]:
        yield Problem(
            (*path, "path"), "a password in a spec is kept with every version; write ${NAME} and set NAME instead"
        )
    if not items(data.get("keys")) and _is_table(source):
        yield Problem(
            (*path, "query"), "rows of a query have no position; name the columns that identify them in `keys`"
        )


def _is_table(source: dict[str, Any]) -> bool:
    """Whether its rows are rows of the table."""
    return not _is_appended(source) and not _is_looked_up(source)


def _is_looked_up(source: dict[str, Any]) -> bool:
    return source.get("on") is not None or source.get("as_of") is not None


def _is_ledger(source: dict[str, Any]) -> bool:
    return isinstance(source.get("path"), str) and str(source["path"]).startswith(LEDGER_SCHEME)


def _is_appended(source: dict[str, Any]) -> bool:
    return _is_ledger(source) or source.get("append") is True


def _keys(data: dict[str, Any]) -> Iterator[Problem]:
    keys = items(data.get("keys"))
    for index, key in enumerate(keys):
        if key in keys[:index]:
            yield Problem(("keys", index), f"'{key}' is named twice")
        if isinstance(key, str) and any(matches(key, str(pattern)) for pattern in items(data.get("drop"))):
            yield Problem(("keys", index), f"'{key}' is also in drop; a key is never a feature and need not be dropped")
    joined = [source for source in items(data.get("sources")) if _is_table(mapping(source))]
    if not keys and len(joined) > 1:
        yield Problem(("keys",), "several sources are joined on keys; name at least one column that all of them have")


def _label(data: dict[str, Any]) -> Iterator[Problem]:
    label = data.get("label")
    if label is None and data.get("task") in ("classification", "regression"):
        yield Problem(("label",), "is missing")
    if not isinstance(label, str):
        return
    if label in items(data.get("keys")):
        yield Problem(("label",), f"'{label}' is also a key; what is to be predicted cannot identify the row")
    if any(matches(label, str(pattern)) for pattern in items(data.get("drop"))):
        yield Problem(("label",), f"'{label}' is also in drop")


def _metric(data: dict[str, Any]) -> Iterator[Problem]:
    task, metric = data.get("task"), data.get("metric")
    if task not in TASK_METRICS:
        return
    known = [name for names in TASK_METRICS.values() for name in names]
    if metric in known and metric not in TASK_METRICS[task]:
        yield Problem(("metric",), f"'{metric}' does not measure a {task}; choose from {', '.join(TASK_METRICS[task])}")


def _split(data: dict[str, Any]) -> Iterator[Problem]:
    split = mapping(data.get("split"))
    method, by = split.get("method"), split.get("by")
    if data.get("task") == "regression" and method == "stratified":
        yield Problem(("split", "method"), "'stratified' needs classes; a regression is split at 'random'")
    if method == "time" and data.get("time") is None:
        yield Problem(
            ("split", "method"), "by which time? name the column that says when a row was in the spec's `time`"
        )
    if method == "group" and by is None:
        yield Problem(("split",), "rows of one group stay together; say in `by` which column names the group")
    if by is not None and method != "group":
        yield Problem(("split", "by"), f"only a split by 'group' looks at a column; this one is '{method or 'random'}'")
    if by is not None and by == data.get("label"):
        yield Problem(("split", "by"), f"'{by}' is the label; no part would know the classes of the other")


def _search(data: dict[str, Any]) -> Iterator[Problem]:
    method = mapping(data.get("search")).get("method", "grid")
    for index, candidate in enumerate(items(data.get("candidates"))):
        for name, values in mapping(mapping(candidate).get("grid")).items():
            path: Path = ("candidates", index, "grid", name)
            low, high = mapping(values).get("low"), mapping(values).get("high")
            if isinstance(values, dict) and method != "random":
                yield Problem(path, f"only a random search draws from a range, not '{method}'; list values")
            if isinstance(low, int | float) and isinstance(high, int | float):
                if low >= high:
                    yield Problem((*path, "low"), f"low {low} is not below high {high}")
                elif low <= 0 and mapping(values).get("log"):
                    yield Problem((*path, "low"), "a logarithmic range begins above 0")
    if mapping(data.get("search")).get("points") is not None and method != "random":
        yield Problem(("search", "points"), f"only a random search is told how many points to try, not '{method}'")


def _behaviour(data: dict[str, Any]) -> Iterator[Problem]:
    yield from _names_given_twice(data, "behaviour")
    for index, item in enumerate(items(data.get("behaviour"))):
        check, path = mapping(item), ("behaviour", index)
        if (check.get("to") is None) == (check.get("add") is None):
            yield Problem(path, "say how the column changes: one of `to` and `add`")
        if check.get("of") is not None and check.get("expect") == "same":
            yield Problem((*path, "of"), "an answer that stays the same is no class's; leave it out")


def _beats(data: dict[str, Any]) -> Iterator[Problem]:
    for index, name in enumerate(items(mapping(data.get("gates")).get("beats"))):
        path: Path = ("gates", "beats", index)
        if name == data.get("label"):
            yield Problem(path, f"'{name}' is the label; nothing is better than the truth")
        elif isinstance(name, str) and any(matches(name, str(pattern)) for pattern in items(data.get("drop"))):
            yield Problem(path, f"'{name}' is in drop; the test part does not have it")


def _clustering(data: dict[str, Any]) -> Iterator[Problem]:
    """What needs a label, or answers that mean the same in every version: a cluster's number does not."""
    if data.get("task") != "clustering":
        return
    if data.get("label") is not None:
        yield Problem(("label",), "a clustering learns from no label; leave it out, and `drop` the column")
    if mapping(data.get("split")).get("method") == "stratified":
        yield Problem(("split", "method"), "'stratified' needs classes; a clustering is split at 'random'")
    if items(mapping(data.get("gates")).get("beats")):
        yield Problem(("gates", "beats"), "no answer is right or wrong here; there is nothing to beat")
    if mapping(data.get("gates")).get("replay") is not None:
        yield Problem(("gates", "replay"), "clusters have other numbers in every version; there is nothing to agree on")
    for index, source in enumerate(items(data.get("sources"))):
        if _is_ledger(mapping(source)):
            yield Problem(("sources", index, "path"), "the ledger gives labelled predictions, and there is no label")
    for index, check in enumerate(items(data.get("behaviour"))):
        if mapping(check).get("expect") in ("no lower", "no higher"):
            yield Problem(("behaviour", index, "expect"), "clusters have no order; only 'same' can be expected")


def _time(data: dict[str, Any]) -> Iterator[Problem]:
    time, rules = data.get("time"), mapping(mapping(data.get("checks")).get("columns"))
    if isinstance(time, str) and time == data.get("label"):
        yield Problem(("time",), f"'{time}' is also the label")
    kind = mapping(rules.get(time)).get("type") if isinstance(time, str) else None
    if kind not in (None, "datetime"):
        yield Problem(("checks", "columns", str(time), "type"), f"'{time}' says when a row was, so it is a datetime")
    if time is None and mapping(data.get("checks")).get("fresh") is not None:
        yield Problem(
            ("checks", "fresh"), "by which time? name the column that says when a row was in the spec's `time`"
        )


def _column(path: Path, rule: dict[str, Any]) -> Iterator[Problem]:
    kind, low, high = rule.get("type"), rule.get("min"), rule.get("max")
    if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
        yield Problem((*path, "min"), f"min {low} is above max {high}")
    for bound in ("min", "max"):
        if kind in {"string", "bool", "datetime"} and rule.get(bound) is not None:
            yield Problem((*path, bound), f"only numbers have a {bound}, and the type is {kind}")
    wanted = _PYTHON_TYPES.get(kind) if isinstance(kind, str) else None
    for index, value in enumerate(items(rule.get("values"))):
        if wanted and (not isinstance(value, wanted) or (isinstance(value, bool) and kind != "bool")):
            yield Problem((*path, "values", index), f"{value!r} is not of the column's type {kind}")
