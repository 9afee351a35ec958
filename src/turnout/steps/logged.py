"""Logged requests as columns: what the ledger keeps as tensors, under the names that the model's manifest gives them.

A request says `input-0`, sixty-four numbers; that the third of them is `p02` is known only by the version that
answered, so its manifest is read from the artifact store. Mirrored copies are left out: the request is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from turnout import storage
from turnout.errors import DataError, ModelError, NotFound
from turnout.steps import artifact
from turnout.steps.artifact import Manifest
from turnout.steps.parts import Array

__all__ = ["Books", "Ledger", "Logged", "OpenBooks", "Wanted", "requests"]

_PAGE = 1000


class Ledger(Protocol):
    """What is asked of the ledger: pages of predictions, the newest first."""

    def predictions(
        self,
        *,
        endpoint: str | None = None,
        namespace: str = "default",
        version: str | None = None,
        labelled: bool | None = None,
        since_us: int | None = None,
        until_us: int | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Books:
    """Where predictions are kept, and the models that made them."""

    ledger: Ledger
    artifacts_url: str


OpenBooks = Callable[[], Books]
"""Opens them when they are needed: most specs have no business with the ledger."""


@dataclass(frozen=True)
class Wanted:
    """Which requests; times in microseconds since 1970, `until_us` not included."""

    namespace: str
    endpoint: str
    labelled: bool | None = None
    since_us: int | None = None
    until_us: int | None = None
    versions: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Logged:
    """One answered request: its rows by column (numbers FP64 with NaN, words with ""), the answers, the true label."""

    id: str
    time_us: int
    version: str
    columns: Mapping[str, Array]
    answers: tuple[Any, ...]
    label: Any

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.answers)


def requests(books: Books, wanted: Wanted) -> Iterator[Logged]:
    """The requests that are wanted, the newest first.

    Raises:
        DataError: a version's manifest is not in the artifact store, or does not fit what the version answered.
        Unavailable: the ledger or the store does not answer.
    """
    manifests: dict[str, Manifest] = {}
    for record in _records(books.ledger, wanted):
        version = record["version"]
        if version not in manifests:
            manifests[version] = _manifest(books.artifacts_url, version)
        yield _logged(record, manifests[version])


def _records(ledger: Ledger, wanted: Wanted) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    version = wanted.versions[0] if wanted.versions and len(wanted.versions) == 1 else None
    while True:
        page = ledger.predictions(
            endpoint=wanted.endpoint,
            namespace=wanted.namespace,
            version=version,
            labelled=wanted.labelled,
            since_us=wanted.since_us,
            until_us=wanted.until_us,
            limit=_PAGE,
            cursor=cursor,
        )
        for record in page["predictions"]:
            if not record.get("shadow") and (wanted.versions is None or record["version"] in wanted.versions):
                yield record
        cursor = page["cursor"]
        if cursor is None:
            return


def _manifest(artifacts_url: str, version: str) -> Manifest:
    model, _, number = version.rpartition("-v")
    url = storage.join(artifacts_url, "models", model, f"v{number}", artifact.MANIFEST)
    try:
        return artifact.parse(storage.at(url).read_bytes(), origin=url)
    except (NotFound, ModelError) as error:
        raise DataError(
            f"what {version} was asked cannot be read: its manifest names the columns, and {error}; "
            "name other versions in the source (`versions: [...]`)"
        ) from error


def _logged(record: Mapping[str, Any], manifest: Manifest) -> Logged:
    sent = {tensor["name"]: tensor for tensor in record["inputs"]}
    answers = tuple(np.asarray(record["outputs"][0]["data"], dtype=object).reshape(-1).tolist())
    try:
        columns = _columns(sent, manifest, rows=len(answers))
    except (KeyError, ValueError) as error:
        raise DataError(
            f"prediction {record['id']}: its inputs are not those of {record['version']}'s manifest ({error})"
        ) from error
    return Logged(
        id=record["id"],
        time_us=record["time_us"],
        version=record["version"],
        columns=columns,
        answers=answers,
        label=record.get("label"),
    )


def _columns(sent: Mapping[str, Any], manifest: Manifest, *, rows: int) -> dict[str, Array]:
    if manifest.is_block:
        block = _values(sent[manifest.inputs[0].name], manifest.inputs[0].datatype)
        return dict(zip(manifest.features, block.reshape(rows, len(manifest.features)).T, strict=True))
    return {
        feature: _values(sent[tensor.name], tensor.datatype).reshape(rows)
        for feature, tensor in zip(manifest.features, manifest.inputs, strict=True)
    }


def _values(tensor: Mapping[str, Any], datatype: str) -> Array:
    """Numbers with NaN for what was not given, words with "" for it."""
    if datatype == "BYTES":
        words = np.asarray(tensor["data"], dtype=object).reshape(-1)
        return np.asarray(["" if word is None else str(word) for word in words], dtype=object)
    return np.asarray(tensor["data"], dtype=np.float64)
