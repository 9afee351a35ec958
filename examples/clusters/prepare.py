"""Write the table that model.yaml names: `python -m examples clusters`."""

from __future__ import annotations

from pathlib import Path

from sklearn.datasets import load_wine


def write(folder: Path) -> Path:
    """Write `wines.csv`: scikit-learn's 178 wines with thirteen measurements, and the cultivar for comparison."""
    wine = load_wine(as_frame=True)
    table = wine.data.rename(columns={"od280/od315_of_diluted_wines": "od280"})
    table.insert(0, "id", range(1, len(table) + 1))
    table["cultivar"] = wine.target_names[wine.target]
    (folder / "data").mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "data" / "wines.csv", index=False)
    return folder / "data" / "wines.csv"


if __name__ == "__main__":
    print(f"wrote {write(Path(__file__).parent)}")
