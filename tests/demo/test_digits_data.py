"""The demo's data: four files of real digits, one of which nobody trains on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from turnout import spec
from turnout.demo.data import live_rows, write_digits
from turnout.steps.featurize import featurize
from turnout.steps.ingest import ingest

EXAMPLES = Path(__file__).parents[2] / "examples" / "digits"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder / "data")
    return folder


def test_live_images_are_in_no_other_file(folder: Path) -> None:
    known, live = (set(pd.read_csv(folder / "data" / f"{name}.csv")["id"]) for name in ("pixels", "live"))
    assert (len(known), len(live), len(known & live)) == (1350, 447, 0)
    assert set(pd.read_csv(folder / "data" / "labels.csv")["id"]) == known


def test_live_rows_are_what_clients_send(folder: Path) -> None:
    rows = live_rows(folder / "data")
    assert len(rows) == 447
    assert all(len(row.features) == 64 and 0 <= min(row.features) <= max(row.features) <= 16 for row in rows)
    assert {row.label for row in rows} == set(range(10))


def test_shuffled_labels_are_the_same_labels_at_other_rows(folder: Path) -> None:
    right, wrong = (pd.read_csv(folder / "data" / f"labels{name}.csv")["digit"] for name in ("", "-shuffled"))
    assert sorted(right) == sorted(wrong)
    assert 0.6 < (right != wrong).mean() < 0.75


def test_the_same_seed_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_digits(tmp_path)
    for path in sorted((folder / "data").iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_both_good_examples_learn_from_the_same_snapshot(folder: Path, tmp_path: Path) -> None:
    ids = {}
    for name in ("naive-bayes", "forest", "forest-shuffled"):
        model = spec.load(EXAMPLES / f"{name}.yaml", data_root=folder)
        made = ingest(model, snapshot=tmp_path / "snapshot", quarantined=tmp_path / "bad.csv")
        parts = featurize(
            model, snapshot=tmp_path / "snapshot", train=tmp_path / "a", test=tmp_path / "b", profile=tmp_path / "c"
        )
        ids[name] = made.id
        assert made.quarantined == 0
        assert (parts.train, parts.test) == (905, 445) if name != "forest-shuffled" else parts.train > 850
    assert ids["naive-bayes"] == ids["forest"] != ids["forest-shuffled"]
