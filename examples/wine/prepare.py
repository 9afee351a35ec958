"""Write the table that model.yaml names: `python examples/wine/prepare.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_wine

_STRENGTHS = np.array(["light", "medium", "strong"])


def write(folder: Path) -> Path:
    """Write `wine.csv`: scikit-learn's 178 wines, their alcohol as a word instead of a number."""
    wine = load_wine(as_frame=True)
    table = wine.data.drop(columns="alcohol")
    table.insert(0, "id", range(1, len(table) + 1))
    table["strength"] = _STRENGTHS[np.digitize(wine.data["alcohol"], [12.6, 13.4])]
    table["cultivar"] = wine.target_names[wine.target]
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "wine.csv", index=False)
    return folder / "wine.csv"


if __name__ == "__main__":
    print(f"wrote {write(Path(__file__).parent / 'data')}")
