"""Labels of predictions become rows of the next snapshot: the steps and a real ledger, no processes between them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests.ledger.serving import TOKEN, URL, InProcess
from turnout import spec as specs
from turnout.ledger.api.app import application
from turnout.ledger.client import LedgerClient
from turnout.ledger.store import Store
from turnout.steps import artifact, snapshots
from turnout.steps.artifact import Model
from turnout.steps.featurize import featurize
from turnout.steps.ingest import ingest
from turnout.steps.logged import Books
from turnout.steps.train import train

_SPEC = """
name: digits
sources: [{name: images, path: images.csv}, {name: feedback, path: "ledger://digits"}]
keys: [id]
label: digit
task: classification
split: {method: stratified, test: 0.25, seed: 7}
candidates:
  - {name: forest, estimator: sklearn.ensemble.RandomForestClassifier, parameters: {n_estimators: 20}}
folds: 2
"""
_PIXELS = [f"p{number:02d}" for number in range(64)]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerClient]:
    store = Store(f"sqlite:///{tmp_path / 'ledger.db'}")
    with InProcess(application(store, token=TOKEN)) as transport:
        yield LedgerClient(URL, TOKEN, transport=transport)
    store.close()


def _columns(pixels: Any) -> dict[str, Any]:
    return {name: pixels[:, at].astype(np.float32) for at, name in enumerate(_PIXELS)}


def _learned(folder: Path, books: Books, name: str) -> Path:
    """A model learned from the file and from whatever labels there are."""
    spec = specs.loads(_SPEC, data_root=folder)
    ingest(spec, snapshot=folder / name / "snapshot", quarantined=folder / "bad.csv", books=lambda: books)
    return _trained(folder, folder / name / "snapshot", name)


def _trained(folder: Path, snapshot: Path, name: str) -> Path:
    spec = specs.loads(_SPEC, data_root=folder)
    made = {part: folder / f"{name}-{part}.parquet" for part in ("train", "test")}
    featurize(spec, snapshot=snapshot, profile=folder / f"{name}-profile", **made)
    train(spec, candidate="forest", **made, out=folder / "artifacts" / "models" / "digits" / name)
    return folder / "artifacts" / "models" / "digits" / name


def _predict(ledger: LedgerClient, model: Model, pixels: Any, *, at_us: int) -> str:
    """Ask a model as a client does, and keep that as its predictor does; the prediction's id."""
    columns, name = _columns(pixels), uuid4().hex
    answers = model.predict(columns).values.tolist()
    label = {"name": "output-0", "datatype": "INT64", "shape": [len(answers)], "data": answers}
    place = {"namespace": "default", "endpoint": "digits", "version": "digits-v1"}
    record = {"id": name, "time_us": at_us, **place, **model.request(columns), "outputs": [label]}
    ledger.events(log="pod", endpoint="digits", version="digits-v1", watermark_us=at_us, events=[record])
    return name


def test_nine_hundred_labels_make_the_next_model_better(tmp_path: Path, ledger: LedgerClient) -> None:
    pixels, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(7).permutation(len(digits))
    known, live, held_out = order[:300], order[300:1200], order[1200:]
    with (tmp_path / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "digit", *_PIXELS], *([row, digits[row], *pixels[row]] for row in known)])
    books = Books(ledger, (tmp_path / "artifacts").as_uri())
    first = artifact.load(_learned(tmp_path, books, "v1"))
    ids = []
    for number, batch in enumerate(np.split(live, 9)):
        ids.append(_predict(ledger, first, pixels[batch], at_us=1_763_719_200_000_000 + number))
        ledger.feedback(ids[-1], label=digits[batch].tolist())
    ledger.erase(ids[3])
    second = artifact.load(_learned(tmp_path, books, "v2"))

    scores = [float((m.predict(_columns(pixels[held_out])).values == digits[held_out]).mean()) for m in (first, second)]
    assert scores[1] > scores[0] + 0.02, scores
    took = snapshots.read_table(tmp_path / "v2" / "snapshot").column("_prediction").to_pylist()
    assert len(took) == 300 + 800
    assert {name.partition("/")[0] for name in took if name} == {*ids} - {ids[3]}

    # What retention drops is not needed to make the version again: its snapshot has the rows.
    assert ledger.retain(before_us=1 << 53)["drop"] == ["2025-11"]
    assert ledger.predictions()["predictions"] == []
    again = _trained(tmp_path, tmp_path / "v2" / "snapshot", "again")
    assert artifact.digest(again / artifact.MANIFEST) == artifact.digest(
        tmp_path / "artifacts/models/digits/v2/model.json"
    )
