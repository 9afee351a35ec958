"""Pid records: whole or not at all, and true about who lives."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from turnout.embedded.supervision import procfs, records
from turnout.embedded.supervision.records import Record


def own() -> Record:
    identity = procfs.identify(os.getpid())
    assert identity is not None
    return Record(name="me", role="test", argv=("a", "b"), pid=identity.pid, start=identity.start, boot=identity.boot)


def test_a_record_is_read_as_it_was_saved(tmp_path: Path) -> None:
    records.save(tmp_path, own())
    assert records.load(tmp_path) == [own()]
    assert [file.name for file in tmp_path.iterdir()] == ["me.json"]


def test_torn_and_foreign_files_are_left_out(tmp_path: Path) -> None:
    records.save(tmp_path, own())
    (tmp_path / "torn.json").write_text('{"name": "to')
    (tmp_path / "foreign.json").write_text('{"name": "x", "unknown": 1, "argv": []}')
    assert [record.name for record in records.load(tmp_path)] == ["me"]


def test_only_the_same_start_of_the_same_pid_in_the_same_boot_is_alive() -> None:
    assert own().is_alive
    assert not replace(own(), start=own().start + 1).is_alive
    assert not replace(own(), boot="another").is_alive
    assert not replace(own(), pid=0).is_alive


def test_memory_is_told_of_the_living_only() -> None:
    found = procfs.memory(os.getpid())
    assert found is not None
    assert 0 < found.pss_mb <= found.rss_mb
    assert procfs.memory(2**22 + 1) is None


def test_a_written_file_is_for_its_owner_only(tmp_path: Path) -> None:
    records.write_aside(tmp_path / "secret", b"x")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
