"""A ledger source as a table: one row for each labelled row of a logged request, its inputs by column, its true label.

What is taken is written down with the prediction it came from, so a snapshot holds the very rows that it was made of
whatever happens in the ledger afterwards; what was erased before is not given out and so in no later snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import time_ns
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from turnout import times
from turnout.spec import PREDICTION_KEY, Source
from turnout.steps import logged, logical
from turnout.steps.finding import Found
from turnout.steps.logged import Books, Logged, Wanted

__all__ = ["fetch"]

_BATCH = 2000


def fetch(source: Source, *, label: str, time: str | None, books: Books, scratch: Path) -> Found | None:
    """The labelled predictions of a ledger source as a Parquet file below `scratch`; None when there are none yet.

    Where the spec has a `time` and no input says it, a row was when it was asked.

    Raises:
        DataError: nobody knows which columns a version was asked.
        Unavailable: the ledger does not answer.
    """
    now_us = time_ns() // 1000
    namespace, endpoint = source.ledger_place
    until_us = times.parse_us(source.until) if source.until else None
    wanted = Wanted(
        namespace=namespace,
        endpoint=endpoint,
        labelled=True,
        since_us=times.parse_us(source.since) if source.since else None,
        # Always bounded: pages are read one after another while new predictions arrive.
        until_us=now_us if until_us is None else min(until_us, now_us),
        versions=source.versions,
    )
    found = (one for one in logged.requests(books, wanted) if one.label is not None)
    tables = [_table(batch, label=label, time=time) for batch in _batches(found)]
    if not tables:
        return None
    table = _typed(pa.concat_tables(tables, promote_options="default"), label=label)
    file = scratch / f"{source.name}.parquet"
    pq.write_table(table.sort_by(PREDICTION_KEY), file)
    return Found(_address(source, read_us=now_us), file)


def _address(source: Source, *, read_us: int) -> str:
    """What was read, and when: the ledger's answer grows."""
    chosen = {"since": source.since, "until": source.until, "versions": ",".join(source.versions or ())}
    query = {name: value for name, value in chosen.items() if value} | {"read": times.text(read_us)}
    return f"{source.path}?{urlencode(query, safe=':,')}"


def _batches(found: Iterable[Logged]) -> Iterator[list[Logged]]:
    """So many at a time, each of one version, because another version may have been asked other columns."""
    by_version: dict[str, list[Logged]] = {}
    for one in found:
        batch = by_version.setdefault(one.version, [])
        batch.append(one)
        if len(batch) == _BATCH:
            yield by_version.pop(one.version)
    yield from by_version.values()


def _table(batch: Sequence[Logged], *, label: str, time: str | None) -> Any:
    columns: dict[str, Any] = {PREDICTION_KEY: [name for one in batch for name in _names(one)]}
    if time is not None:
        asked = [one.time_us for one in batch for _ in range(one.rows)]
        columns[time] = pa.array(asked, pa.int64()).cast(logical.ARROW["datetime"])
    for feature in batch[0].columns:
        values = np.concatenate([one.columns[feature] for one in batch])
        column = _words(values) if values.dtype == object else pa.array(values, from_pandas=True)
        columns[feature] = logical.to_kind(column, "datetime").values if feature == time else column
    return pa.table(columns | {label: pa.array([word for one in batch for word in _labels(one)], pa.string())})


def _names(one: Logged) -> list[str]:
    return [one.id] if one.rows == 1 else [f"{one.id}/{row}" for row in range(one.rows)]


def _labels(one: Logged) -> list[str | None]:
    """One for each row; a list of another length says nothing about any of them."""
    said = one.label if isinstance(one.label, list) else [one.label]
    return [_word(value) for value in said] if len(said) == one.rows else [None] * one.rows


def _word(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _words(values: Any) -> Any:
    return pa.array([word or None for word in values.tolist()], pa.string())


def _typed(table: Any, *, label: str) -> Any:
    """The label as what all of its words are; people send 7 and "7" alike."""
    words = table.column(label).combine_chunks()
    place = table.column_names.index(label)
    return table.set_column(place, label, logical.to_kind(words, logical.infer(words)).values)
