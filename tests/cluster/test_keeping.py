"""What backup and restore refuse, and in which order they work; that everything comes back was seen on a node."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import keeping
from cluster.tools import Problem
from tests.cluster.conftest import StandIns


@pytest.fixture(autouse=True)
def cluster(stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandIns:
    stand_ins.answers["config current-context"] = "kind-turnout"
    stand_ins.answers["jsonpath={.spec.replicas}"] = "2"
    stand_ins.ready()
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    (bucket / "model.onnx").write_bytes(b"m")
    monkeypatch.setattr(keeping, "_bucket", lambda: bucket.as_uri())
    return stand_ins


def test_a_backup_overwrites_none(tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    folder.mkdir()
    with pytest.raises(Problem, match="is there already"):
        keeping.backup(folder)


def test_a_backup_has_both_databases_and_the_objects_and_is_nobody_elses(tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    keeping.backup(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["ledger.dump", "mlflow.dump", "objects"]
    assert (folder / "objects" / "model.onnx").read_bytes() == b"m"
    assert folder.stat().st_mode & 0o077 == 0


def test_what_is_no_backup_replaces_nothing(cluster: StandIns, tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"is no backup: .*ledger.dump, .*mlflow.dump, .*objects is missing"):
        keeping.restore(tmp_path)
    assert not cluster.calls("scale")


def test_nobody_writes_while_databases_are_replaced(cluster: StandIns, tmp_path: Path) -> None:
    keeping.backup(tmp_path / "backup")
    keeping.restore(tmp_path / "backup")
    calls = cluster.calls()
    stopped = [number for number, line in enumerate(calls) if "scale" in line and "--replicas=0" in line]
    replaced = [number for number, line in enumerate(calls) if "pg_restore" in line]
    started = [number for number, line in enumerate(calls) if "scale" in line and "--replicas=2" in line]
    assert len(stopped) == len(started) == 3
    assert max(stopped) < min(replaced) <= max(replaced) < min(started)


def test_who_was_stopped_is_started_again_when_a_restore_fails(cluster: StandIns, tmp_path: Path) -> None:
    keeping.backup(tmp_path / "backup")
    cluster.fails["pg_restore"] = "pg_restore: error: could not read from input file"
    cluster.ready()
    with pytest.raises(Problem, match="could not read from input file"):
        keeping.restore(tmp_path / "backup")
    assert len([line for line in cluster.calls("scale") if "--replicas=2" in line]) == 3
