"""Write the data that the model.yaml files here name: `python examples/digits/prepare.py`."""

from __future__ import annotations

from pathlib import Path

from turnout.demo.data import write_digits

if __name__ == "__main__":
    folder = Path(__file__).parent / "data"
    write_digits(folder)
    print(f"wrote {', '.join(sorted(path.name for path in folder.glob('*.csv')))} to {folder}")
