"""One step of the pipeline on one size, in a process of its own: `python -m bench.scale.steps STEP FOLDER`.

Prints a line of JSON: seconds, processor seconds and the peaks of memory. The functions are those that the components
call; only the endpoint is left out, because nothing is served here.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["STEPS", "watched"]


def _spec(folder: Path) -> object:
    from turnout import spec as specs

    return specs.loads((folder / "model.yaml").read_text(encoding="utf-8"))


def ingest(folder: Path) -> None:
    """Read, check, join, name by content, keep."""
    from turnout.steps import keeping
    from turnout.steps.ingest import ingest as make_snapshot

    made = make_snapshot(_spec(folder), snapshot=folder / "snapshot", quarantined=folder / "quarantine.csv")
    keeping.keep(folder / "snapshot", made, artifacts_url=(folder / "store").as_uri())
    (folder / "id").write_text(made.id, encoding="utf-8")


def featurize(folder: Path) -> None:
    """Fetch the snapshot and split it."""
    from turnout.steps import keeping
    from turnout.steps.featurize import featurize as split

    url = (folder / "store").as_uri()
    keeping.fetch((folder / "id").read_text(encoding="utf-8"), artifacts_url=url, to=folder / "fetched")
    parts = {name: folder / f"{name}.parquet" for name in ("train", "test")}
    split(_spec(folder), snapshot=folder / "fetched", **parts, profile=folder / "profile.json")


def _train(folder: Path, candidate: str) -> None:
    from turnout.steps.train import train

    parts = {name: folder / f"{name}.parquet" for name in ("train", "test")}
    train(_spec(folder), candidate=candidate, **parts, out=folder / candidate)


def linear(folder: Path) -> None:
    """Search and export the linear candidate."""
    _train(folder, "linear")


def boosting(folder: Path) -> None:
    """Search and export the boosting candidate."""
    _train(folder, "boosting")


def evaluate(folder: Path) -> None:
    """Measure the better of the two on the test part."""
    from turnout.steps import evaluate as evaluating
    from turnout.steps import evaluate_report

    spec = _spec(folder)
    models = [folder / "linear", folder / "boosting"]
    found = evaluating.evaluate(spec, models=models, test=folder / "test.parquet", champion=None)
    (folder / "report.html").write_text(evaluate_report.render(found, spec=spec), encoding="utf-8")
    score = {"best": found.best.name, "score": found.score.value, "test_rows": found.rows}
    (folder / "score.json").write_text(json.dumps(score), encoding="utf-8")


STEPS: dict[str, Callable[[Path], None]] = {
    "ingest": ingest,
    "featurize": featurize,
    "linear": linear,
    "boosting": boosting,
    "evaluate": evaluate,
}


def watched(work: Callable[[], None]) -> dict[str, float]:
    """Do some work in this process and return what it took.

    `peak_gb` is the most that was resident, mapped files included; `own_gb` without them: pages of files can be taken
    away from a process, its own cannot.
    """
    own, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
            own[0] = max(own[0], *(int(line.split()[1]) for line in lines if line.startswith("RssAnon")))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    began, used = time.perf_counter(), time.process_time()
    work()
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - used
    over.set()
    watcher.join()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "cpu_s": cpu_s, "peak_gb": peak * 1024 / 1e9, "own_gb": own[0] * 1024 / 1e9}


if __name__ == "__main__":
    print(json.dumps(watched(lambda: STEPS[sys.argv[1]](Path(sys.argv[2])))))
