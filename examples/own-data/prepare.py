"""Write a table such as anybody may have: `python -m examples own-data`."""

from __future__ import annotations

from pathlib import Path

from sklearn.datasets import load_breast_cancer


def write(folder: Path) -> Path:
    """Write `tumours.csv`: scikit-learn's 569 tumours with thirty measurements and their diagnosis."""
    found = load_breast_cancer(as_frame=True)
    table = found.data.rename(columns=lambda name: name.replace(" ", "_"))
    table.insert(0, "id", range(1, len(table) + 1))
    table["diagnosis"] = found.target_names[found.target]
    (folder / "data").mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "data" / "tumours.csv", index=False)
    return folder / "data" / "tumours.csv"


if __name__ == "__main__":
    print(f"wrote {write(Path(__file__).parent)}")
