"""Snapshots in the artifact store: named by their content, never changed, and what two of them share is there once.

    snapshots/<id>/snapshot.json.gz    facts, and the parts that the rows are in
    parts/<digest>.parquet             some rows, named by what they say

A snapshot is cut into parts by its rows: in the order of time, or of keys where the spec names no time, a new part
begins where hashes of the keys say so. So a part depends on nothing but its own rows and those beside them: rows that
are added, removed or changed somewhere leave the parts elsewhere as they were, and those are not written again. The
hashes decide only what is shared; what a snapshot's id stands for is checked whenever its rows are read.

`snapshot.json.gz` is written last, and after it the parts are looked for once more: whoever cleans up at the same time
(`sweep`) may have taken one that was not in use when it looked.
"""

from __future__ import annotations

import gzip
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NewType

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from turnout import storage
from turnout.errors import DataError, NotFound
from turnout.steps import shelving, snapshots
from turnout.steps.snapshots import Snapshot

__all__ = ["Kept", "Part", "cut", "fetch", "find", "is_kept", "keep", "kept", "read", "sweep"]

_FACTS = "snapshot.json.gz"
_PARTS = 256  # of one snapshot, so that a change of one percent touches few
_FEWEST_ROWS, _MOST_ROWS = 160, 1 << 16
_BLOCK_ROWS = 1 << 20
_DIGITS = 24  # enough to tell parts apart; the digest of all rows is what nobody can forge
_GARBAGE = "garbage.json"


Part = NewType("Part", str)
"""Rows of a snapshot that lie together, by the digest of their content."""


@dataclass(frozen=True)
class Kept:
    """A snapshot in the store; its parts in order, and when it was put there."""

    snapshot: Snapshot
    parts: tuple[Part, ...]
    kept_us: int


def keep(folder: Path, snapshot: Snapshot, *, artifacts_url: str, now_us: int | None = None) -> Kept:
    """Put a snapshot into the store, once; parts that are there already are not written again."""
    if is_kept(snapshot.id, artifacts_url=artifacts_url):
        return find(snapshot.id, artifacts_url=artifacts_url)
    pieces = cut(snapshots.read_table(folder), snapshot)
    made = Kept(snapshot, tuple(part for part, _ in pieces), time.time_ns() // 1000 if now_us is None else now_us)
    _write(pieces, artifacts_url=artifacts_url)
    facts = orjson.dumps({"format": 2, "facts": asdict(snapshot), "kept_us": made.kept_us, "parts": made.parts})
    storage.at(_facts_url(artifacts_url, snapshot.id)).write_bytes(gzip.compress(facts, mtime=0))
    _write(pieces, artifacts_url=artifacts_url)
    return made


def is_kept(snapshot: str, *, artifacts_url: str) -> bool:
    """Whether a snapshot is in the store."""
    return storage.at(_facts_url(artifacts_url, snapshot)).exists()


def find(snapshot: str, *, artifacts_url: str) -> Kept:
    """What is known of a kept snapshot.

    Raises:
        NotFound: it is not in the store.
    """
    try:
        said = orjson.loads(gzip.decompress(storage.at(_facts_url(artifacts_url, snapshot)).read_bytes()))
    except NotFound as error:
        raise NotFound(f"snapshot {snapshot} is not in the artifact store: {error}") from error
    return Kept(snapshots.parse(said["facts"]), tuple(said["parts"]), said["kept_us"])


def kept(*, artifacts_url: str) -> list[Kept]:
    """All snapshots of the store, the latest first."""
    names = storage.at(storage.join(artifacts_url, "snapshots")).names()
    found = [find(name.partition("/")[0], artifacts_url=artifacts_url) for name in names if name.endswith(f"/{_FACTS}")]
    return sorted(found, key=lambda one: (-one.kept_us, one.snapshot.id))


def read(found: Kept, *, artifacts_url: str, only: Sequence[Part] | None = None) -> Any:
    """The rows of a kept snapshot in the order of their keys; or those of some of its parts.

    Raises:
        DataError: a part is missing or damaged, or the rows are not those that the id names.
    """
    parts = found.parts if only is None else only
    first = _read_part(parts[0], found.snapshot, artifacts_url)
    tables = (_read_part(part, found.snapshot, artifacts_url) for part in parts[1:])
    table = shelving.in_order(shelving.gathered(first.schema, chain([first], tables)), found.snapshot.keys)
    if only is None and f"sha256:{snapshots.digest(table)}" != found.snapshot.digest:
        raise DataError(f"{artifacts_url}: the rows are not those of {found.snapshot.id}; somebody changed its parts")
    return table


def fetch(snapshot: str, *, artifacts_url: str, to: Path, digest: str = "") -> Snapshot:
    """A kept snapshot as a local folder, as ingest made it; with a `digest` only the one that has it.

    Raises:
        NotFound: it is not in the store.
        DataError: its rows are not those that its id names, or it is not the one with this digest.
    """
    found = find(snapshot, artifacts_url=artifacts_url)
    if found.snapshot.digest != (digest or found.snapshot.digest):
        raise DataError(f"{artifacts_url} holds the snapshot {found.snapshot.digest} as {snapshot}, wanted {digest}")
    table = read(found, artifacts_url=artifacts_url)
    return snapshots.write_again(to, table, found.snapshot)


def sweep(
    *, artifacts_url: str, in_use: frozenset[str], older_us: int, grace_us: int, is_dry: bool = False
) -> tuple[list[str], list[str]]:
    """Remove snapshots that nobody uses and that were kept longer ago than `older_us`, and parts of no snapshot.

    A part goes only when an earlier sweep, `grace_us` ago, found it unused too: a run that is keeping a snapshot just
    now may share it. Returns the snapshots and the parts that were removed, or would be.
    """
    now_us = time.time_ns() // 1000
    everything = kept(artifacts_url=artifacts_url)
    old = [one for one in everything if one.snapshot.id not in in_use and now_us - one.kept_us >= older_us]
    gone = {one.snapshot.id for one in old}
    needed = {part for one in everything if one.snapshot.id not in gone for part in one.parts}
    unused = [digest for digest in _present(artifacts_url) if digest not in needed]
    seen = _seen(artifacts_url)
    parts = [digest for digest in unused if digest in seen and now_us - seen[digest] >= grace_us]
    if is_dry:
        return sorted(gone), parts
    for one in old:
        storage.at(_facts_url(artifacts_url, one.snapshot.id)).remove_file()
    for digest in parts:
        storage.at(_part_url(artifacts_url, digest)).remove_file()
    waiting = {digest: seen.get(digest, now_us) for digest in unused if digest not in parts}
    storage.at(storage.join(artifacts_url, "parts", _GARBAGE)).write_bytes(orjson.dumps(waiting))
    return sorted(gone), parts


def cut(table: Any, snapshot: Snapshot) -> list[tuple[Part, Any]]:
    """The parts of a snapshot with their rows."""
    order = [name for name in (snapshot.time, *snapshot.keys) if name]
    ordered = shelving.in_order(table, order) if snapshot.time else table
    borders = _borders(ordered.select(list(snapshot.keys)).to_pandas())
    pieces = [ordered.slice(low, high - low) for low, high in pairwise(borders)]
    return [(Part(snapshots.digest(piece)[:_DIGITS]), piece) for piece in pieces]


def _borders(keys: pd.DataFrame) -> list[int]:
    """Where parts begin and end: at rows whose key's hash is the lowest of `reach` rows before and after it.

    Such parts are `2 * reach + 1` rows long on average and nearly all alike: between borders that come by chance alone,
    rows that change lie in parts that are twice as long. The reach is a power of two, so that a table must double
    before it is cut otherwise. (N. Bjorner, A. Blass, Y. Gurevich, "Content-dependent chunking for differential
    compression, the local maximum approach", 2010.)
    """
    rows = len(keys)
    reach = min(max(1 << max(0, (rows // _PARTS).bit_length() - 2), _FEWEST_ROWS // 2), _MOST_ROWS // 2)
    hashes = pd.util.hash_pandas_object(keys, index=False).to_numpy()
    blocks = range(0, max(1, rows), _BLOCK_ROWS)
    begins = np.concatenate(
        [_lowest(hashes, reach, first=first, last=min(first + _BLOCK_ROWS, rows)) for first in blocks]
    )
    return [0, *begins[(begins > reach) & (begins < rows - reach)].tolist(), rows]


def _lowest(hashes: Any, reach: int, *, first: int, last: int) -> Any:
    """Which rows of a block have the lowest hash around them."""
    low = max(0, first - reach)
    around = _lowest_around(hashes[low : last + reach], reach)[first - low : last - low]
    return first + np.flatnonzero(hashes[first:last] == around)


def _lowest_around(values: Any, reach: int) -> Any:
    """The lowest of `reach` values before and after each, in two passes (M. van Herk, 1992)."""
    width = 2 * reach + 1
    highest = np.iinfo(values.dtype).max
    padded = np.pad(values, (reach, reach + -len(values) % width + width), constant_values=highest)
    padded = padded[: len(padded) // width * width].reshape(-1, width)
    onward = np.minimum.accumulate(padded, axis=1).ravel()
    backward = np.minimum.accumulate(padded[:, ::-1], axis=1)[:, ::-1].ravel()
    return np.minimum(backward[: len(values)], onward[width - 1 : width - 1 + len(values)])


def _write(pieces: Sequence[tuple[Part, Any]], *, artifacts_url: str) -> None:
    present = _present(artifacts_url)
    for part, rows in pieces:
        if part not in present:
            out = io.BytesIO()
            # What would help to find rows in a file, or numbers that are there often, is a third of one this small.
            words = [field.name for field in rows.schema if pa.types.is_string(field.type)]
            pq.write_table(rows, out, compression="zstd", use_dictionary=words, write_statistics=False)
            storage.at(_part_url(artifacts_url, part)).write_bytes(out.getvalue())
            shelving.forget()


def _present(artifacts_url: str) -> set[str]:
    names = storage.at(storage.join(artifacts_url, "parts")).names()
    return {name.removesuffix(".parquet") for name in names if name.endswith(".parquet")}


def _seen(artifacts_url: str) -> Mapping[str, int]:
    """Parts that an earlier sweep found unused, and when it did first."""
    try:
        found: dict[str, int] = orjson.loads(storage.at(storage.join(artifacts_url, "parts", _GARBAGE)).read_bytes())
    except NotFound:
        return {}
    return found


def _read_part(part: Part, snapshot: Snapshot, artifacts_url: str) -> Any:
    url = _part_url(artifacts_url, part)
    try:
        return pq.read_table(io.BytesIO(storage.at(url).read_bytes()))
    except NotFound as error:
        raise DataError(f"{snapshot.id}: its part {url} is gone") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{snapshot.id}: its part {url} is not a whole Parquet file") from error


def _facts_url(artifacts_url: str, snapshot: str) -> str:
    return storage.join(artifacts_url, "snapshots", snapshot, _FACTS)


def _part_url(artifacts_url: str, digest: str) -> str:
    return storage.join(artifacts_url, "parts", f"{digest}.parquet")
