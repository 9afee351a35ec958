"""Which files a source means: one file, a pattern, or a folder of them; local, or in an object store."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from turnout import storage
from turnout.errors import DataError, NotFound
from turnout.spec import Source

__all__ = ["Found", "find", "kind"]

_KINDS: dict[str, Literal["csv", "parquet"]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True)
class Found:
    """A file that can be read at `local`; people know it by its address."""

    address: str
    local: Path


def kind(path: Path) -> Literal["csv", "parquet"] | None:
    """The format that a file's name says, if it is one that we read."""
    return _KINDS.get(path.suffix.lower())


def find(source: Source, scratch: Path) -> list[Found]:
    """The files of a source in the order of their names; what is far away is copied below `scratch`.

    Raises:
        DataError: there are none, or one is of no kind that we read.
    """
    address = urlsplit(source.path)
    if storage.is_url(source.path) and address.scheme != "file":
        found = _fetched(source, scratch / source.name)
    else:
        found = [
            Found(str(path), path) for path in _local(source.path if not address.scheme else unquote(address.path))
        ]
    if not found:
        raise DataError(f"source {source.name}: {source.path}: no such file, and no files that match it")
    for file in found:
        if kind(file.local) is None:
            raise DataError(f"source {source.name} ({file.address}): a .csv or .parquet file was wanted")
    return found


def _local(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        return _below(path)
    return [path] if path.exists() else sorted(Path(match) for match in glob.glob(name, recursive=True))


def _below(folder: Path) -> list[Path]:
    """Tables in a folder, without what writers of tables keep there for themselves (`_temporary`, `.crc`)."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and kind(path) is not None
        and not any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)
    )


def _fetched(source: Source, target: Path) -> list[Found]:
    """An object, or all objects below a key, as local files."""
    place = storage.at(source.path)
    name = source.path.rsplit("/", 1)[-1]
    try:
        if kind(Path(name)) is None:
            place.download_folder(target)
            return [Found(storage.join(source.path, str(path.relative_to(target))), path) for path in _below(target)]
        target.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(place.read_bytes())
    except NotFound as error:
        raise DataError(f"source {source.name}: {error}") from error
    return [Found(source.path, target / name)]
