"""A ledger for the tests of steps: the pages that the HTTP API gives, from records in a list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from turnout.errors import Unavailable
from turnout.steps import artifact
from turnout.steps.artifact import Manifest, Tensor
from turnout.steps.logged import Books

NOON = 1_763_719_200_000_000


class Ledger:
    """Answers `predictions` as the API does, the newest first, in pages of `page` records."""

    def __init__(self, *records: dict[str, Any], page: int = 2) -> None:
        self.records = sorted(records, key=lambda record: (record["time_us"], record["id"]), reverse=True)
        self.page = page

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
    ) -> dict[str, Any]:
        found = [
            record
            for record in self.records
            if record["endpoint"] == endpoint
            and record["namespace"] == namespace
            and version in (None, record["version"])
            and labelled in (None, record["labelled"])
            and (since_us is None or record["time_us"] >= since_us)
            and (until_us is None or record["time_us"] < until_us)
        ]
        start = int(cursor or 0)
        end = start + min(self.page, limit)
        return {"predictions": found[start:end], "cursor": str(end) if end < len(found) else None}


class NoLedger:
    """Nobody answers."""

    def predictions(self, **_: Any) -> dict[str, Any]:
        raise Unavailable("no ledger answers at http://127.0.0.1:9")


def record(
    name: str, values: Sequence[Any], *, label: Any = None, answers: Sequence[Any] = (0,), **more: Any
) -> dict[str, Any]:
    """One logged request of a model with a block of numbers; its rows one after another in `values`."""
    return {
        "id": name,
        "time_us": NOON,
        "namespace": "default",
        "endpoint": "digits",
        "version": "digits-v1",
        "inputs": [{"name": "input-0", "datatype": "FP32", "shape": [len(answers), -1], "data": list(values)}],
        "outputs": [{"name": "output-0", "datatype": "INT64", "shape": [len(answers)], "data": list(answers)}],
        "shadow": False,
        "labelled": label is not None,
        "label": label,
    } | more


def books(
    folder: Path, *records: dict[str, Any], features: Sequence[str] = ("size",), versions: Sequence[int] = (1,)
) -> Books:
    """The ledger with these records, and the manifests of versions of `digits` with these features."""
    block = Tensor(name="input-0", onnx="X", datatype="FP32", shape=(-1, len(features)))
    label = Tensor(name="output-0", onnx="label", datatype="INT64", shape=(-1,))
    for number in versions:
        place = folder / "artifacts" / "models" / "digits" / f"v{number}"
        place.mkdir(parents=True, exist_ok=True)
        artifact.write(place, manifest=Manifest("classification", {}, (block,), (label,), tuple(features), (0, 1)))
    return Books(Ledger(*records), (folder / "artifacts").as_uri())


def columns(folder: Path, **tensors: tuple[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Inputs with a tensor per column, and the manifest of digits-v1 that says so."""
    made = [
        Tensor(name=name, onnx=f"x{index}", datatype=datatype, shape=(-1, 1))
        for index, (name, (datatype, _)) in enumerate(tensors.items())
    ]
    label = Tensor(name="output-0", onnx="label", datatype="INT64", shape=(-1,))
    place = folder / "artifacts" / "models" / "digits" / "v1"
    place.mkdir(parents=True, exist_ok=True)
    artifact.write(place, manifest=Manifest("classification", {}, tuple(made), (label,), tuple(tensors), (0, 1)))
    return [
        {"name": name, "datatype": datatype, "shape": [len(data), 1], "data": list(data)}
        for name, (datatype, data) in tensors.items()
    ]
