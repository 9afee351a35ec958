"""Feedback in bulk: a stream of rows in (NDJSON or CSV), a stream of results out, one line for each row.

Rows are decided a portion at a time, in their order. Results wait in a file while the upload goes on, so that a client
which reads nothing before it has sent everything is served as well as one that reads along; neither needs memory.
"""

from __future__ import annotations

import asyncio
import csv
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from sqlalchemy import Connection
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from turnout.errors import InputError, TurnoutError
from turnout.ledger import feedback, records, words
from turnout.ledger.feedback import Answer, Post
from turnout.ledger.store import Store
from turnout.ledger.words import Verb

__all__ = ["MOST_ROWS", "Results", "results"]

MOST_ROWS = 1_000_000
_PORTION = 1_000
_LONGEST_ROW = 1 << 20
_IN_MEMORY = 1 << 20


class Results(StreamingResponse):
    """Results that go out while rows come in.

    Starlette's own listens for the client's end meanwhile, and what it hears there are the rows.
    """

    media_type = "application/x-ndjson"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        await self.stream_response(send)


async def results(store: Store, chunks: AsyncIterator[bytes], *, is_csv: bool, verb: Verb) -> AsyncIterator[bytes]:
    """One line of JSON for each row: `row` (from 1), `id`, `status` (an HTTP status) and `detail` if it was refused."""
    spool, news = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY), asyncio.Condition()  # noqa: SIM115  closed below
    written = read = 0

    async def write(lines: bytes) -> None:
        nonlocal written
        async with news:
            spool.seek(written)
            spool.write(lines)
            written += len(lines)
            news.notify_all()

    def is_news() -> bool:
        return read < written or task.done()

    task = asyncio.create_task(_take(store, chunks, is_csv=is_csv, verb=verb, write=write))
    task.add_done_callback(lambda _: asyncio.ensure_future(_wake(news)))
    try:
        while not (task.done() and read == written):
            async with news:
                await news.wait_for(is_news)
                spool.seek(read)
                part = spool.read(min(written - read, _IN_MEMORY))
            read += len(part)
            if part:
                yield part
        await task
    finally:
        task.cancel()
        spool.close()


async def _wake(news: asyncio.Condition) -> None:
    async with news:
        news.notify_all()


async def _take(
    store: Store, chunks: AsyncIterator[bytes], *, is_csv: bool, verb: Verb, write: Callable[[bytes], Any]
) -> None:
    """Read all rows; what ends the upload early is the last line."""
    parse: Callable[[bytes], dict[str, Any]] = _csv_parser() if is_csv else _json_row
    number, portion = 0, []
    try:
        async for line in _lines(chunks):
            row = _parsed(parse, line, verb=verb)
            if row is None:
                continue
            number += 1
            if number > MOST_ROWS:
                raise InputError(f"an upload may have {MOST_ROWS} rows; the rest was not read")
            portion.append((number, row))
            if len(portion) == _PORTION:
                await write(await _decide(store, portion, verb=verb))
                portion = []
        await write(await _decide(store, portion, verb=verb))
    except TurnoutError as error:
        await write(orjson.dumps({"row": number, "id": None, "status": error.status, "detail": str(error)}) + b"\n")
    except ClientDisconnect:
        return  # nobody is left to be told; what was decided is kept, and the same rows again change nothing


Row = tuple[str, Any] | TurnoutError


def _parsed(parse: Callable[[bytes], dict[str, Any]], line: bytes, *, verb: Verb) -> Row | None:
    """Id and word of a row, or what is wrong with it; None for the header of a CSV."""
    try:
        fields = parse(line)
        if not fields:
            return None
        name = fields.pop("id", None)
        if not records.is_id(name):
            raise InputError(f"id: {name!r} cannot be the id of a prediction")
        return str(name), words.parse(fields, verb=verb)
    except TurnoutError as error:
        return error


async def _decide(store: Store, portion: list[tuple[int, Row]], *, verb: Verb) -> bytes:
    now_us = store.clock_us()
    posts = [
        Post(prediction_id=row[0], verb=verb, word=row[1], now_us=now_us)
        for _, row in portion
        if not isinstance(row, TurnoutError)
    ]

    def work(connection: Connection) -> list[Answer | TurnoutError]:
        return feedback.record(connection, posts)

    try:
        answers = iter(await asyncio.wrap_future(store.write(work)) if posts else [])
    except TurnoutError as error:
        answers = iter([error] * len(posts))
    lines = []
    for number, row in portion:
        answer = row if isinstance(row, TurnoutError) else next(answers)
        name = None if isinstance(row, TurnoutError) else row[0]
        if isinstance(answer, TurnoutError):
            lines.append(orjson.dumps({"row": number, "id": name, "status": answer.status, "detail": str(answer)}))
        else:
            lines.append(orjson.dumps({"row": number, "id": name, "status": answer.http_status}))
    return b"".join(line + b"\n" for line in lines)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line.strip()
        if len(rest) > _LONGEST_ROW:
            raise InputError(f"a row may have {_LONGEST_ROW} bytes at most")
    if rest.strip():
        yield rest.strip()


def _json_row(line: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"the row is not JSON: {error}") from error
    if not isinstance(found, dict) or not found:
        raise InputError("a row must be a JSON object with id and label or score")
    return found


def _csv_parser() -> Callable[[bytes], dict[str, Any]]:
    """The first row names the columns. Cells are text, so "7" is the label of the number 7; see `outcomes`."""
    header: list[str] = []

    def parse(line: bytes) -> dict[str, Any]:
        cells = next(csv.reader([line.decode("utf-8", errors="replace")]))
        if not header:
            header.extend(cell.strip() for cell in cells)
            return {}
        if len(cells) != len(header):
            raise InputError(f"wanted {len(header)} cells ({', '.join(header)}), found {len(cells)}")
        found: dict[str, Any] = {name: cell for name, cell in zip(header, cells, strict=True) if cell != ""}
        if "score" in found:
            found["score"] = _number(found["score"])
        return found or {"id": None}

    return parse


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"score: wanted a number from 0 to 1, found {text!r}") from error
