"""Data that moved since the latest version stops the run, and says which columns did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.lineage.test_comparing import _origin
from tests.steps.tables import model_spec
from turnout.errors import DataError
from turnout.steps import keeping, lasting, provenance
from turnout.steps.ingest import ingest
from turnout.steps.snapshots import Snapshot


def flats(folder: Path, *, size: float = 50.0, rows: int = 2000) -> Path:
    random = np.random.default_rng(int(size))
    table = pd.DataFrame({"id": range(rows), "size": random.normal(size, 10, rows), "price": random.normal(9, 1, rows)})
    table["city"] = random.choice(["Aachen", "Bonn"], rows)
    table.to_csv(folder / "flats.csv", index=False)
    return folder


def taken(folder: Path, name: str, *, store: str, bound: str = "checks: {max_drift: 0.2}\n") -> Snapshot:
    return ingest(
        model_spec(folder, sources={"flats": "flats.csv"}, rest=bound),
        snapshot=folder / name,
        quarantined=folder / "bad.csv",
        last=lambda: lasting.find("test", artifacts_url=store),
    )


@pytest.fixture
def store(tmp_path: Path) -> str:
    """An artifact store where the second version learned from flats of fifty square metres."""
    url = (tmp_path / "store").as_uri()
    made = taken(flats(tmp_path), "first", store=url)
    keeping.keep(tmp_path / "first", made, artifacts_url=url)
    for number in (2, 10):
        origin = replace(_origin(number, rows=1, score=1.0), version=f"test-v{number}", snapshot=made)
        provenance.write(origin, artifacts_url=url)
    return url


def test_data_that_did_not_move_is_taken(tmp_path: Path, store: str) -> None:
    assert taken(flats(tmp_path, size=51), "second", store=store).rows == 2000
    latest = provenance.latest("test", artifacts_url=store)
    assert latest is not None
    assert latest.version == "test-v10"


def test_a_column_that_moved_is_named_with_what_it_was(tmp_path: Path, store: str) -> None:
    message = r"columns moved further than max_drift allows \(0.2\): size by [\d.]+ \(mean 50.* then, mean 70.* now\)$"
    with pytest.raises(DataError, match=message):
        taken(flats(tmp_path, size=70), "second", store=store)
    assert taken(flats(tmp_path, size=70), "second", store=store, bound="").rows == 2000


def test_before_the_first_version_nothing_has_moved(tmp_path: Path) -> None:
    assert taken(flats(tmp_path), "first", store=(tmp_path / "empty").as_uri()).rows == 2000
