"""Small tables and specs for the tests of the steps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from turnout import spec
from turnout.spec import ModelSpec
from turnout.steps.ingest import ingest
from turnout.steps.snapshots import Snapshot

FEATURES = """\
id,size,colour
1,1.5,red
2,2.5,blue
3,3.5,red
4,4.5,green
5,5.5,red
"""
LABELS = """\
id,price
1,10
2,20
3,30
4,40
5,50
"""


def model_spec(
    folder: Path, *, sources: Mapping[str, str], keys: str = "[id]", label: str = "price", rest: str = ""
) -> ModelSpec:
    """A regression over files of `folder`; `rest` is added as it is."""
    listed = ", ".join(f"{{name: {name}, path: '{path}'}}" for name, path in sources.items())
    task = (
        "" if "task:" in rest else "task: regression\ncandidates: [{name: r, estimator: sklearn.linear_model.Ridge}]\n"
    )
    text = f"name: test\nsources: [{listed}]\nkeys: {keys}\nlabel: {label}\n{task}{rest}"
    return spec.loads(text, data_root=folder)


def take(folder: Path, model: ModelSpec) -> Snapshot:
    """Ingest into `folder/snapshot`, bad rows into `folder/bad.csv`."""
    return ingest(model, snapshot=folder / "snapshot", quarantined=folder / "bad.csv")


def two_tables(folder: Path, *, features: str = FEATURES, labels: str = LABELS) -> dict[str, str]:
    """Write both tables; returns the sources."""
    (folder / "features.csv").write_text(features)
    (folder / "labels.csv").write_text(labels)
    return {"features": "features.csv", "labels": "labels.csv"}
