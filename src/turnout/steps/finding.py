"""Which files a source means: one file, a pattern, or a folder of them; here, in an object store, on a web server."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from turnout import storage
from turnout.errors import DataError, NotFound, Unavailable
from turnout.spec import Source

__all__ = ["Found", "find", "kind"]

_KINDS: dict[str, Literal["csv", "parquet"]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_WILD = re.compile(r"[*?\[]")
_WEB_TIMEOUT_S = 60.0
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Found:
    """A file that can be read at `local`; people know it by its address.

    `partitions` are the columns that its folders say (`day=2026-11-21`), as engines write them that divide a table so.
    """

    address: str
    local: Path
    partitions: tuple[tuple[str, str | None], ...] = ()


def kind(path: Path) -> Literal["csv", "parquet"] | None:
    """The format that a file's name says, if it is one that we read."""
    return _KINDS.get(path.suffix.lower())


def find(source: Source, scratch: Path) -> list[Found]:
    """The files of a source in the order of their names; what is far away is copied below `scratch`.

    Raises:
        DataError: there are none, or one is of no kind that we read.
        Unavailable: who should have them does not answer.
    """
    address = urlsplit(source.path)
    if address.scheme in {"http", "https"}:
        found = [_from_web(source, scratch)]
    elif storage.is_url(source.path) and address.scheme != "file":
        found = _fetched(source, scratch / source.name)
    else:
        name = source.path if not address.scheme else unquote(address.path)
        found = [Found(str(path), path, _partitions(path.relative_to(_root(name)).parts)) for path in _local(name)]
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
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and _is_table(path.relative_to(folder).as_posix())
    )


def _root(name: str) -> Path:
    """The folder below which the folders of a file's address are of the table: the one named, or before the pattern."""
    wild = _WILD.search(name)
    if wild is None or Path(name).exists():
        return Path(name) if Path(name).is_dir() else Path(name).parent
    return Path(name[: wild.start()] + "_").parent


def _partitions(parts: tuple[str, ...]) -> tuple[tuple[str, str | None], ...]:
    """The columns that folders say, in the order of the folders; the last part is the file."""
    said = [part.partition("=") for part in parts[:-1]]
    return tuple(
        (unquote(name), None if value == _NO_VALUE else unquote(value)) for name, equals, value in said if equals
    )


def _is_table(name: str) -> bool:
    """Whether a file in a folder is one, and not what writers of tables keep there (`_temporary`, `.crc`)."""
    return kind(Path(name)) is not None and not any(part.startswith(("_", ".")) for part in Path(name).parts)


def _fetched(source: Source, target: Path) -> list[Found]:
    """An object, those that match a pattern, or all objects below a key, as local files."""
    wild = _WILD.search(source.path)
    folder = source.path[: source.path.rindex("/", 0, wild.start())] if wild else source.path
    try:
        if not wild and kind(Path(source.path)) is not None:
            return [_copied(source.path, target / source.path.rsplit("/", 1)[-1])]
        pattern = source.path[len(folder) + 1 :]
        names = [name for name in storage.at(folder).names() if _is_table(name)]
        chosen = [name for name in names if not wild or fnmatchcase(name, pattern)]
        return [
            # Writers of partitions put `%20` and the like into keys as they are; in an address it stands for a letter.
            replace(
                _copied(storage.join(folder, name.replace("%", "%25")), target / name),
                partitions=_partitions(tuple(name.split("/"))),
            )
            for name in chosen
        ]
    except NotFound as error:
        raise DataError(f"source {source.name}: {error}") from error


def _copied(url: str, file: Path) -> Found:
    storage.at(url).download_file(file)
    return Found(url, file)


def _from_web(source: Source, scratch: Path) -> Found:
    """One file of a web server, copied as it comes."""
    import httpx

    name = unquote(urlsplit(source.path).path.rsplit("/", 1)[-1])
    if kind(Path(name)) is None:
        raise DataError(f"source {source.name} ({source.path}): a .csv or .parquet file was wanted")
    file = scratch / source.name / name
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            httpx.stream("GET", source.path, follow_redirects=True, timeout=_WEB_TIMEOUT_S) as answer,
            file.open("wb") as out,
        ):
            if answer.status_code >= 500:
                raise Unavailable(f"source {source.name}: {source.path} answers {answer.status_code}")
            if answer.status_code != 200:
                raise DataError(f"source {source.name}: {source.path} answers {answer.status_code}, 200 was wanted")
            for block in answer.iter_bytes():
                out.write(block)
    except httpx.HTTPError as error:
        said = str(error) or type(error).__name__
        raise Unavailable(f"source {source.name}: {source.path} does not answer: {said}") from error
    return Found(source.path, file)
