"""The demo's data: scikit-learn's handwritten digits as feature tables with a key, and a part that nobody trains on.

1,797 images of 8 x 8 pixels in 17 levels of grey. Two thirds and more go to the training pipeline, which divides them
once more into training and test; the rest is live traffic and is in no other file.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from turnout.demo.traffic import Row

__all__ = ["live_rows", "write_digits"]

_LIVE_ROWS = 447
_PIXELS = tuple(f"p{number:02d}" for number in range(64))


def write_digits(folder: Path, *, shuffled_share: float = 0.75, seed: int = 0) -> None:
    """Write `pixels.csv`, `labels.csv`, `labels-shuffled.csv` and `live.csv`; the same bytes for the same seed.

    `shuffled_share` of the labels change places in `labels-shuffled.csv`: at 0.75 a random forest is right about seven
    times in ten on clean data (at 0.4 still nine times: a forest outvotes what has no pattern).
    """
    images, digits = load_digits(return_X_y=True)
    ids = np.random.default_rng(seed).permutation(len(digits)) + 1
    known, live = train_test_split(np.arange(len(digits)), test_size=_LIVE_ROWS, stratify=digits, random_state=seed)
    known, live = known[np.argsort(ids[known])], live[np.argsort(ids[live])]
    shuffled = _shuffled(digits[known], share=shuffled_share, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "pixels.csv", ("id", *_PIXELS), np.column_stack([ids[known], images[known]]))
    _write(folder / "labels.csv", ("id", "digit"), np.column_stack([ids[known], digits[known]]))
    _write(folder / "labels-shuffled.csv", ("id", "digit"), np.column_stack([ids[known], shuffled]))
    _write(folder / "live.csv", ("id", "digit", *_PIXELS), np.column_stack([ids[live], digits[live], images[live]]))


def live_rows(folder: Path) -> list[Row]:
    """The held-out images and their true labels, from `live.csv`."""
    with (folder / "live.csv").open(encoding="utf-8", newline="") as file:
        return [Row([float(row[name]) for name in _PIXELS], int(row["digit"])) for row in csv.DictReader(file)]


def _shuffled(labels: np.ndarray, *, share: float, seed: int) -> np.ndarray:
    """The same labels, a share of them among one another's rows."""
    random = np.random.default_rng(seed)
    chosen = random.choice(len(labels), size=int(share * len(labels)), replace=False)
    mixed = labels.copy()
    mixed[chosen] = labels[random.permutation(chosen)]
    return mixed


def _write(path: Path, header: tuple[str, ...], rows: np.ndarray) -> None:
    """Pixels and labels are whole numbers; they are written as such."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows.astype(int).tolist())
