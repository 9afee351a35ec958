"""Labels of real predictions go into the next model, which is better for it; and every step can be looked up.

The same without processes, in seconds: tests/lineage/test_learning_from_labels.py.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests.e2e.conftest import Engine
from turnout import storage
from turnout.ledger.client import LedgerClient
from turnout.steps import artifact, keeping, provenance, snapshots

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(1200)]

_SPEC = """
name: numerals
sources:
  - {name: images, path: images.csv}
  - {name: feedback, path: "ledger://numerals"}
keys: [id]
label: digit
task: classification
split: {method: stratified, test: 0.25, seed: 7}
candidates:
  - {name: forest, estimator: sklearn.ensemble.RandomForestClassifier, parameters: {n_estimators: 20}}
folds: 2
gates: {minimum: 0.7, replay: {requests: 100, max_disagreement: 0.5}}
rollout: {steps: [20], minLabels: 1000}
"""
_PIXELS = [f"p{number:02d}" for number in range(64)]
_BATCH = 50


class Images:
    """The digits: 300 in a file, 900 that clients send, 597 that no model ever sees before it is measured."""

    def __init__(self) -> None:
        self.pixels, self.digits = load_digits(return_X_y=True)
        order = np.random.default_rng(7).permutation(len(self.digits))
        self.known, self.live, self.held_out = order[:300], order[300:1200], order[1200:]

    def write(self, file: Path, rows: Iterable[int]) -> None:
        with file.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["id", "digit", *_PIXELS])
            writer.writerows([row, self.digits[row], *self.pixels[row].astype(int)] for row in rows)

    def score(self, folder: Path) -> float:
        """Accuracy of an artifact on the held-out images."""
        columns = {name: self.pixels[self.held_out, at].astype(np.float32) for at, name in enumerate(_PIXELS)}
        answers = artifact.load(folder).predict(columns).values
        return float((answers == self.digits[self.held_out]).mean())


def _labelled(engine: Engine, images: Images) -> list[str]:
    """Ask the endpoint about the live images, tell what they really are; the ids of the predictions."""
    ledger = LedgerClient(engine.addresses.ledger_url, engine.addresses.ledger_token)
    ids = []
    with httpx.Client(headers={"Host": "numerals.localhost"}, timeout=30) as client:
        for batch in np.split(images.live, len(images.live) // _BATCH):
            body = {"instances": images.pixels[batch].tolist()}
            reply = client.post(f"{engine.addresses.gateway_url}/v1/models/numerals:predict", json=body)
            reply.raise_for_status()
            ids.append(reply.headers["x-turnout-id"])
            ledger.feedback(ids[-1], label=images.digits[batch].tolist())
    return ids


def _model(engine: Engine, version: str, folder: Path) -> Path:
    name, _, number = version.rpartition("-v")
    url = storage.join(engine.addresses.artifacts_url, "models", name, f"v{number}")
    storage.at(url).download_folder(folder / version)
    return folder / version


def _live(engine: Engine) -> dict[str, str]:
    found = json.loads(engine.run("turnout", "live", "numerals", "--json").stdout)["live"]
    return {row["version"]: row["share"] for row in found}


def test_labels_of_predictions_make_the_next_version_better(engine: Engine, tmp_path: Path) -> None:
    images = Images()
    images.write(tmp_path / "images.csv", images.known)
    (tmp_path / "model.yaml").write_text(_SPEC)
    first = _run(engine, tmp_path)
    assert "nothing was replayed: the endpoint has no champion" in first["outcome"]
    engine.run("kubectl", "wait", "--for=condition=Ready", "turnout/numerals", "--timeout=60s")
    assert _live(engine) == {"numerals-v1": "100%"}

    ids = _labelled(engine, images)
    erased = ids[3]
    LedgerClient(engine.addresses.ledger_url, engine.addresses.ledger_token).erase(erased)
    second = _run(engine, tmp_path)
    # All but the erased one; and the request that deploy asked before anybody else.
    assert f"on the last {len(ids)} requests it answers otherwise than numerals-v1 in" in second["outcome"]

    scores = [images.score(_model(engine, version, tmp_path)) for version in ("numerals-v1", "numerals-v2")]
    assert scores[1] > scores[0] + 0.02, scores

    origin = provenance.read("numerals-v2", artifacts_url=engine.addresses.artifacts_url)
    assert {source.name: source.rows for source in origin.snapshot.sources} == {"images": 300, "feedback": 850}
    keeping.fetch(
        origin.snapshot.id,
        digest=origin.snapshot.digest,
        artifacts_url=engine.addresses.artifacts_url,
        to=tmp_path / "snapshot",
    )
    took = snapshots.read_table(tmp_path / "snapshot").column("_prediction").to_pylist()
    assert {name.partition("/")[0] for name in took if name} == set(ids) - {erased}
    _look_up(engine, ids[0], first, tmp_path)


def _run(engine: Engine, folder: Path) -> dict[str, Any]:
    done = engine.run("turnout", "run", str(folder / "model.yaml"), "--json", timeout_s=500)
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def _look_up(engine: Engine, prediction: str, run: dict[str, Any], folder: Path) -> None:
    found = json.loads(engine.run("turnout", "trace", prediction, "--json").stdout)
    assert (found["version"], found["origin"]["run"]) == ("numerals-v1", run["id"])
    assert found["origin"]["rows"] == 300
    assert [row["action"] for row in found["decisions"]] == ["adopt", "weights"]
    assert found["remarks"] == []
    engine.run("turnout", "trace", prediction, "--svg", str(folder / "trace.svg"))
    assert "numerals-v1" in (folder / "trace.svg").read_text()
    assert "each as it was written" in engine.run("turnout", "audit", "verify").stdout
