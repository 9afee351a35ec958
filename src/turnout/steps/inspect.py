"""A table into a first model.yaml: looks at the columns, guesses what a person would, and says why in comments.

The file is a draft for people. Every guess stands beside its reason, and the file runs as it is.
"""

from __future__ import annotations

from pathlib import Path

from turnout.steps import draft, looking

__all__ = ["inspect"]


def inspect(path: Path, label: str, *, output: Path = Path("model.yaml")) -> str:
    """The text of a model.yaml that learns `label` from the file at `path`, to be written to `output`.

    Raises:
        InputError: there is no such file, or the label cannot be learned.
        DataError: the file is empty or damaged.
    """
    return draft.write(looking.look(path, label), output=output)
