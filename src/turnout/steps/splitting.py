"""Which rows train and which test, decided by the rows' keys.

Every row has a place between 0 and 1 from a hash of its key and the seed. `random` tests the rows below the wanted
share, so a row's part never depends on other rows: a snapshot that grew by some rows moves none. `stratified` takes
the same share of every class, the rows with the lowest places of the class; there the border, and so a row near it,
can move when the class grows. `group` gives a place to every value of a column instead, so that what belongs together
stays together. `time` tests the latest rows; rows of one moment are never divided.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from turnout.errors import DataError
from turnout.spec import Split

__all__ = ["fewest", "places", "rows_of_test"]

_MOST_NAMED = 5
_UNITS = {"group": "groups", "time": "moments"}


def rows_of_test(
    keys: Iterable[tuple[Any, ...]], label: Any, *, split: Split, by: Iterable[Any] = (), times_us: Any = None
) -> np.ndarray[Any, Any]:
    """True for the rows of the test part; `by` and `times_us` are the columns that a split by group or time looks at.

    Raises:
        DataError: a part would be empty, or a class has too few rows to be in both.
    """
    if split.method == "time":
        test = _latest(np.asarray(times_us), split.test)
    elif split.method == "stratified":
        test = _stratified(places(keys, seed=split.seed), label, split.test)
    else:
        named = ((value,) for value in by) if split.method == "group" else keys
        test = places(named, seed=split.seed) < split.test
    rows, tested = len(test), int(test.sum())
    if tested in {0, rows}:
        part = "test" if tested == 0 else "training"
        raise DataError(
            f"split: of {rows} rows none is left for the {part} part (method: {split.method}, test: {split.test}); "
            f"more {_UNITS.get(split.method, 'rows')} are needed"
        )
    return test


def places(keys: Iterable[tuple[Any, ...]], *, seed: int) -> np.ndarray[Any, Any]:
    """A number in [0, 1) for each key: uniform over keys, the same on every machine and in every version of Python."""
    salt = seed.to_bytes(8, "little")
    digests = bytearray()
    for key in keys:
        digests += hashlib.blake2b(_spelled(key), digest_size=8, salt=salt).digest()
    # The upper 53 bits: a float holds no more, and a rounded-up 1.0 would be no place below 1.
    return (np.frombuffer(digests, dtype="<u8") >> np.uint64(11)) / 2.0**53


def fewest(among: np.ndarray[Any, Any], at: np.ndarray[Any, Any], *, most: int) -> np.ndarray[Any, Any]:
    """Of the rows that are true in `among` those with the lowest places, at most so many.

    A row's place depends on its key alone: of a table that grew by some rows nearly the same rows are drawn.
    """
    if int(among.sum()) <= most:
        return among
    border = np.partition(at[among], most - 1)[most - 1]
    return np.asarray(among & (at <= border))


def _spelled(key: tuple[Any, ...]) -> bytes:
    return "\x1f".join(map(str, key)).encode()


def _latest(times_us: np.ndarray[Any, Any], share: float) -> np.ndarray[Any, Any]:
    ordered = np.sort(times_us)
    border = ordered[min(len(ordered) - 1, round(len(ordered) * (1 - share)))]
    return np.asarray(times_us >= border)


def _stratified(at: np.ndarray[Any, Any], label: Any, share: float) -> np.ndarray[Any, Any]:
    classes = pd.Series(label)
    counts = classes.value_counts()
    rare = counts[counts < 2]
    if len(rare):
        names = ", ".join(repr(name) for name in sorted(rare.index, key=str)[:_MOST_NAMED])
        raise DataError(
            f"split: a stratified split needs two rows of every class, and {len(rare)} have one: {names}; "
            "add rows, drop the class, or split at random"
        )
    size = classes.map(counts).to_numpy()
    rank = pd.Series(at).groupby(classes.to_numpy()).rank(method="first").to_numpy()
    return np.asarray(rank <= np.clip(np.round(size * share), 1, size - 1))
