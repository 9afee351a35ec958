"""The rows of a query as a Parquet file: a database is asked once, and what it said is a source like any other.

Its address holds no secret: `${NAME}` is completed from the environment of this process, and what the database says in
an error is given on without it.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from turnout import times
from turnout.errors import DataError, Unavailable
from turnout.spec import Source
from turnout.steps.finding import Found

__all__ = ["fetch"]

_BATCH = 20_000


def fetch(source: Source, scratch: Path, *, environment: Mapping[str, str] = os.environ) -> Found:
    """Ask the query, a batch at a time.

    Raises:
        DataError: a variable is not set, the address is none, or the database refuses the query.
        Unavailable: the database does not answer.
    """
    from sqlalchemy import create_engine, exc

    url = _completed(source, environment)
    try:
        engine = create_engine(url)
    except (exc.ArgumentError, exc.NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
        raise DataError(f"source {source.name}: {source.path}: {_said(error, source, environment)}") from error
    file = scratch / f"{source.name}.parquet"
    try:
        with engine.connect() as connection:
            pq.write_table(_asked(source, connection, environment), file)
    except exc.DBAPIError as error:
        said = _said(error, source, environment)
        raise Unavailable(f"source {source.name}: {source.path} does not answer: {said}") from error
    finally:
        engine.dispose()
    return Found(f"{source.path}?read={times.text(time.time_ns() // 1000)}", file)


def _asked(source: Source, connection: Any, environment: Mapping[str, str]) -> Any:
    from sqlalchemy import exc, text

    try:
        answer = connection.execution_options(stream_results=True).execute(text(str(source.query)))
        if not answer.returns_rows:
            raise DataError(f"source {source.name}: the query gives no rows: {_short(source)}")
        return _table(source, list(answer.keys()), answer.partitions(_BATCH))
    except exc.DBAPIError as error:
        if error.connection_invalidated:
            raise
        said = _said(error, source, environment)
        raise DataError(f"source {source.name}: {source.path} refuses {_short(source)!r}: {said}") from error


def _completed(source: Source, environment: Mapping[str, str]) -> str:
    missing = [name for name in source.secrets if name not in environment]
    if missing:
        raise DataError(f"source {source.name}: {source.path}: {missing[0]} is not set where the steps run")
    return re.sub(r"\$\{(\w+)\}", lambda found: environment[found[1]], source.path)


def _table(source: Source, names: Sequence[str], batches: Iterator[Sequence[Sequence[Any]]]) -> Any:
    if len(set(names)) < len(names):
        twice = ", ".join(sorted({name for name in names if names.count(name) > 1}))
        raise DataError(f"source {source.name}: the query names columns twice: {twice}")
    tables = [
        pa.table({name: _column(name, rows, place, source) for place, name in enumerate(names)}) for rows in batches
    ]
    if not tables:
        raise DataError(f"source {source.name}: the query finds no rows: {_short(source)}")
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"source {source.name}: a column changes its type between rows: {error}") from error


def _column(name: str, rows: Sequence[Sequence[Any]], place: int, source: Source) -> Any:
    try:
        return pa.array([_plain(row[place]) for row in rows])
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        said = str(error).splitlines()[0]
        raise DataError(f"source {source.name}, column {name}: no one type holds its values: {said}") from error


def _plain(value: Any) -> Any:
    """What a table's five kinds of column can hold; a time without an offset is UTC, as in a file."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
    return value


def _said(error: BaseException, source: Source, environment: Mapping[str, str]) -> str:
    """The database's own words, on one line, without what the address was completed with."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    for name in source.secrets:
        said = said.replace(environment.get(name) or "\0", f"${{{name}}}")
    return said


def _short(source: Source) -> str:
    words = " ".join(str(source.query).split())
    return words if len(words) <= 80 else f"{words[:77]}..."
