"""What a test score cannot be trusted for, found in the two parts before anything is learned: warnings, with evidence.

None of it stops a run. A column may identify rows and be harmless, one may predict the label perfectly and be known in
time; only a person knows. What is said names the column, the numbers and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from turnout.spec import ModelSpec
from turnout.steps import logical, shelving

__all__ = ["Leak", "find", "read"]

_FEWEST_ROWS = 20
_BINS = 64
_TOO_GOOD = 0.999
_FEWEST_COPIES, _COPIES = 3, 0.01
_SHOWN_ROWS = 3


@dataclass(frozen=True)
class Leak:
    """One suspicion: its kind, the column if it is about one, and a sentence with the evidence."""

    kind: str
    column: str
    evidence: str


def find(train: Any, test: Any, *, spec: ModelSpec) -> list[Leak]:
    """Every suspicion about these parts, tables with keys, features and label."""
    features = [name for name in train.column_names if name not in spec.hidden and not spec.dropped(name)]
    found = [*_identifying(train, features), *_telling(train, features, spec)]
    return [*found, *_on_both_sides(train, test, features, spec), *_out_of_order(train, test, spec)]


def read(profile: Path) -> tuple[Leak, ...]:
    """Those that featurize wrote into the profile."""
    return tuple(Leak(**leak) for leak in orjson.loads(profile.read_bytes())["leaks"])


def _identifying(train: Any, features: list[str]) -> Iterator[Leak]:
    """Words and whole numbers that are different in each row: a model learns rows by heart from them."""
    rows = train.num_rows
    for name in features:
        kind = logical.kind_of(train.column(name).type)
        if kind not in {"int", "string"} or rows < _FEWEST_ROWS or _is_text(train.column(name), kind):
            continue
        distinct = pc.count_distinct(train.column(name), mode="only_valid").as_py()
        if distinct == rows:
            yield Leak(
                "key",
                name,
                f"column {name} has a different value in each of {rows} training rows, like a key; drop it if so",
            )


def _is_text(column: Any, kind: str | None) -> bool:
    """Whether it holds sentences, which are different in each row by nature."""
    return kind == "string" and (pc.mean(pc.count_substring_regex(column, r"\s+")).as_py() or 0) >= 2


def _telling(train: Any, features: list[str], spec: ModelSpec) -> Iterator[Leak]:
    """Columns from which alone the label follows."""
    if spec.label is None or train.num_rows < _FEWEST_ROWS:
        return
    label = train.column(spec.label).to_pandas()
    if spec.task == "classification":
        label = pd.Series(pd.factorize(label)[0])
    for name in features:
        values = train.column(name)
        known = pc.is_valid(values).to_numpy(zero_copy_only=False)
        if known.sum() < _FEWEST_ROWS:
            continue
        share, said = _told(values.filter(pa.array(known)), label[known], spec)
        if share >= _TOO_GOOD:
            yield Leak(
                "target", name, f"column {name} alone {said} in {int(known.sum())} training rows; is it known in time?"
            )


def _told(values: Any, label: Any, spec: ModelSpec) -> tuple[float, str]:
    """How much of the label one column tells, from 0 to 1, beyond what the label tells by itself."""
    words = logical.kind_of(values.type) == "string"
    numbers = (
        None if words else pd.Series(pc.cast(values, pa.float64() if not _is_time(values) else pa.int64()).to_numpy())
    )
    if spec.task == "regression":
        if numbers is None or numbers.nunique() < _FEWEST_ROWS // 2 or label.nunique() < 2:
            return 0.0, ""
        ranks = abs(float(np.corrcoef(numbers.rank(), label.rank())[0, 1]))
        return ranks, f"has a rank correlation of {ranks:.4f} with {spec.label}"
    group = values.to_pandas() if numbers is None else _binned(numbers)
    places, names = pd.factorize(group)
    classes = int(label.max()) + 1
    most = float(np.bincount(label).max() / len(label))
    # Small groups are pure by chance, and a rare class is never far from right.
    if len(label) < 5 * len(names) or most > 0.95:
        return 0.0, ""
    counts = np.bincount(places * classes + label, minlength=len(names) * classes).reshape(-1, classes)
    share = float(counts.max(axis=1).sum() / len(label))
    return share, f"tells {spec.label} right in {share:.1%} of cases (the most frequent class: {most:.1%})"


def _is_time(values: Any) -> bool:
    return logical.kind_of(values.type) == "datetime"


def _binned(numbers: Any) -> Any:
    if numbers.nunique() <= _BINS:
        return numbers
    borders = np.quantile(numbers, np.linspace(0, 1, min(_BINS, max(2, len(numbers) // 10)) + 1)[1:-1])
    return np.searchsorted(borders, numbers, side="right")


def _on_both_sides(train: Any, test: Any, features: list[str], spec: ModelSpec) -> Iterator[Leak]:
    """Rows of the test part that were trained on under another key."""
    if not features:
        return
    trained = np.unique(_hashes(train, features))
    again = np.flatnonzero(np.isin(_hashes(test, features), trained))
    # One or two rows may be equal by chance; where few values are possible, so may all.
    if len(again) < max(_FEWEST_COPIES, _COPIES * test.num_rows) or len(trained) < train.num_rows / 2:
        return
    first = "; ".join(_key(test, int(row), spec) for row in again[:_SHOWN_ROWS])
    share = len(again) / test.num_rows
    yield Leak(
        "duplicates",
        "",
        f"{len(again)} of {test.num_rows} test rows ({share:.1%}) have the features of a training row "
        f"(first: {first}); the test score counts what was learned by heart; split by group if they belong together",
    )


def _hashes(table: Any, features: list[str]) -> Any:
    """A number for each row, equal for rows whose features are."""
    frames = (piece.to_pandas() for piece in shelving.slices(table.select(features)))
    return np.concatenate([pd.util.hash_pandas_object(frame, index=False).to_numpy() for frame in frames])


def _key(table: Any, row: int, spec: ModelSpec) -> str:
    return ", ".join(f"{key}={table.column(key)[row].as_py()}" for key in spec.key_columns)


def _out_of_order(train: Any, test: Any, spec: ModelSpec) -> Iterator[Leak]:
    if spec.time is None or spec.split.method == "time" or spec.time not in train.column_names:
        return
    latest = pc.max(train.column(spec.time))
    earlier = pc.sum(pc.less(test.column(spec.time), latest)).as_py() or 0
    if earlier:
        yield Leak(
            "time",
            spec.time,
            f"{earlier} of {test.num_rows} test rows are earlier than the latest training row: the test part is asked "
            f"what was over when training ended; `split: {{method: time}}` tests on what comes after",
        )
