"""Sources in the ledger, and what they make of keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnout import spec as specs
from turnout.errors import SpecError
from turnout.spec import ModelSpec

TEXT = """
name: digits
sources: [{sources}]
keys: {keys}
label: digit
task: classification
candidates: [{{name: bayes, estimator: sklearn.naive_bayes.GaussianNB}}]
"""
FILE, LEDGER = "{name: table, path: table.csv}", "{name: feedback, path: 'ledger://digits'}"


def _spec(*sources: str, keys: str = "[id]") -> ModelSpec:
    return specs.loads(TEXT.format(sources=", ".join(sources), keys=keys), data_root=Path("/data"), deep=False)


@pytest.mark.parametrize(
    ("path", "place"), [("ledger://digits", ("default", "digits")), ("ledger://shop/digits", ("shop", "digits"))]
)
def test_a_ledger_source_names_an_endpoint(path: str, place: tuple[str, str]) -> None:
    source = _spec(FILE, LEDGER.replace("ledger://digits", path)).sources[1]
    assert (source.path, source.ledger_place, source.is_appended) == (path, place, True)


def test_rows_of_the_ledger_have_a_key_of_their_own() -> None:
    assert _spec(FILE).key_columns == ("id",)
    assert _spec(FILE, LEDGER).key_columns == ("id", "_prediction")
    assert _spec(LEDGER, keys="[]").key_columns == ("_row", "_prediction")


def test_what_adds_rows_needs_no_keys_to_be_joined_on() -> None:
    assert _spec(FILE, LEDGER, keys="[]").keys == ()
    assert _spec(FILE, "{name: more, path: more.csv, append: true}", keys="[]").sources[1].is_appended


def test_files_that_are_all_appended_have_nothing_to_be_appended_to() -> None:
    with pytest.raises(SpecError, match="there is nothing to append to"):
        _spec("{name: more, path: more.csv, append: true}")


def test_a_spec_with_a_ledger_source_is_the_same_after_a_round_trip() -> None:
    spec = _spec(FILE, LEDGER.replace("}", ", since: '2026-11-20T14:00Z', versions: [digits-v1]}"))
    assert specs.loads(spec.dump(), deep=False) == spec


def test_what_is_learned_from_a_snapshot_does_not_depend_on_where_its_rows_were() -> None:
    moved = _spec(FILE.replace("table.csv", "elsewhere.csv"), LEDGER)
    assert moved.learning() == _spec(FILE, LEDGER).learning()
    assert moved.learning() != _spec(FILE).learning()
