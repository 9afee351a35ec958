"""Sources in an object store: one object, or all below a key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.steps.tables import FEATURES, LABELS, model_spec, take, two_tables
from tests.storage import objectstore
from turnout.errors import DataError


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[objectstore.Store]:
    with objectstore.known_to(monkeypatch) as served:
        yield served


def test_an_object_and_a_folder_of_objects_are_sources_like_any_other(tmp_path: Path, store: objectstore.Store) -> None:
    header, *lines = LABELS.splitlines()
    store.objects["models/features.csv"] = FEATURES.encode()
    store.objects["models/labels/1.csv"] = "\n".join([header, *lines[:2]]).encode()
    store.objects["models/labels/2.csv"] = "\n".join([header, *lines[2:]]).encode()
    far = take(
        tmp_path, model_spec(tmp_path, sources={"features": "s3://models/features.csv", "labels": "s3://models/labels"})
    )
    assert far.id == take(tmp_path, model_spec(tmp_path, sources=two_tables(tmp_path))).id
    assert [source.path for source in far.sources] == [
        "s3://models/features.csv",
        "s3://models/labels/1.csv",
        "s3://models/labels/2.csv",
    ]


@pytest.mark.parametrize("address", ["s3://models/nowhere.csv", "s3://models/nowhere", "s3://nowhere/a.csv"])
def test_a_wrong_key_is_named(tmp_path: Path, store: objectstore.Store, address: str) -> None:
    with pytest.raises(DataError, match=f"source a: {address}: "):
        take(tmp_path, model_spec(tmp_path, sources={"a": address}))


def test_a_pattern_takes_the_objects_that_match(tmp_path: Path, store: objectstore.Store) -> None:
    header, *lines = LABELS.splitlines()
    store.objects["models/features.csv"] = FEATURES.encode()
    store.objects["models/days/1.csv"] = "\n".join([header, *lines[:2]]).encode()
    store.objects["models/days/2.csv"] = "\n".join([header, *lines[2:]]).encode()
    store.objects["models/days/other.csv"] = b"id,price\n9,9\n"
    store.objects["models/days/_tmp/3.csv"] = b"id,price\n9,9\n"
    sources = {"features": "s3://models/features.csv", "labels": "s3://models/days/[0-9].csv"}
    made = take(tmp_path, model_spec(tmp_path, sources=sources))
    assert made.id == take(tmp_path, model_spec(tmp_path, sources=two_tables(tmp_path))).id
