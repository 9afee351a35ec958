"""The supervisor with real processes: restarts, back-off, adoption, polite and impolite ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.embedded.running import eventually
from turnout.embedded.supervision import logfiles, procfs, records
from turnout.embedded.supervision.processes import Phase, Spec, State, Supervisor, backoff_s

Make = Callable[[], Supervisor]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes supervisors over the same folders, one after another; whatever runs at the end is ended."""
    for name in ("run", "logs"):
        (tmp_path / name).mkdir()
    made: list[Supervisor] = []

    def supervisor() -> Supervisor:
        found = Supervisor(run_folder=tmp_path / "run", log_folder=tmp_path / "logs")
        found.adopt()
        made.append(found)
        return found

    yield supervisor
    for record in records.load(tmp_path / "run"):
        if record.is_alive:
            os.killpg(record.pid, signal.SIGKILL)
    made[-1].close()


def shell(folder: Path, script: str, **more: object) -> Spec:
    spec = Spec(name="one", role="test", command=lambda port: ("sh", "-c", script), folder=folder, needs_port=False)
    return replace(spec, environment={"PATH": os.environ["PATH"]}, **more)  # type: ignore[arg-type]


def running(supervisor: Supervisor, name: str = "one") -> State:
    def find() -> State | None:
        state = supervisor.state(name)
        return state if state is not None and state.phase == Phase.RUNNING else None

    found: State = eventually(find)
    return found


def test_the_first_restart_is_immediate_and_later_ones_wait_twice_as_long_each_up_to_half_a_minute() -> None:
    assert [backoff_s(failures) for failures in (1, 2, 3, 4, 9, 500)] == [0.0, 0.5, 1.0, 2.0, 30.0, 30.0]


def test_a_process_that_dies_is_restarted_at_once(make: Make, tmp_path: Path) -> None:
    supervisor = make()
    supervisor.ensure(shell(tmp_path, "exec sleep 60"))
    first = running(supervisor)
    os.kill(first.pid, signal.SIGKILL)
    second = eventually(lambda: _with_restarts(supervisor, 1))
    assert second.pid != first.pid
    assert second.exit_code == -signal.SIGKILL


def test_a_process_that_keeps_ending_waits_in_back_off_with_its_exit_code(make: Make, tmp_path: Path) -> None:
    supervisor = make()
    supervisor.ensure(shell(tmp_path, "echo some words; exit 3"))
    state = eventually(lambda: _in_phase(supervisor, Phase.BACKOFF, restarts=1))
    assert (state.pid, state.exit_code) == (0, 3)
    log = logfiles.path_of(tmp_path / "logs", "one")
    assert logfiles.last_line(log, offset=state.log_offset) == "some words"


def test_a_command_that_does_not_exist_waits_in_back_off_and_says_so_in_its_log(make: Make, tmp_path: Path) -> None:
    supervisor = make()
    supervisor.ensure(replace(shell(tmp_path, ""), command=lambda port: ("no-such-program",)))
    assert eventually(lambda: _in_phase(supervisor, Phase.BACKOFF, restarts=1)).exit_code == 127
    assert "cannot run no-such-program" in (tmp_path / "logs" / "one.log").read_text()


def test_the_next_supervisor_adopts_what_the_last_one_left(make: Make, tmp_path: Path) -> None:
    first = make()
    first.ensure(shell(tmp_path, "exec sleep 60"))
    pid = running(first).pid
    first.close()
    second = make()
    assert second.unclaimed() == ["one"]
    second.ensure(shell(tmp_path, "exec sleep 60"))
    assert running(second).pid == pid
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: _with_restarts(second, 1)).pid != pid


def test_a_pid_that_belongs_to_another_process_now_is_not_adopted(make: Make, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        (tmp_path / "run").mkdir(exist_ok=True)
        records.save(tmp_path / "run", records.Record(name="one", role="test", argv=(), pid=stranger.pid, start=1))
        supervisor = make()
        supervisor.stop("one")
        assert supervisor.wait_gone(["one"], timeout_s=5)
        assert stranger.poll() is None
        stranger.kill()


def test_a_process_without_a_record_is_ended_by_the_next_supervisor(make: Make, tmp_path: Path) -> None:
    first = make()
    first.ensure(shell(tmp_path, "exec sleep 60"))
    pid = running(first).pid
    first.close()
    records.forget(tmp_path / "run", "one")  # as if the engine had been killed before it wrote it
    make()
    eventually(lambda: procfs.identify(pid) is None)


def test_stopping_asks_first_and_forgets_the_record(make: Make, tmp_path: Path) -> None:
    supervisor = make()
    supervisor.ensure(shell(tmp_path, "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.05; done"))
    eventually(lambda: b"up" in logfiles.read(tmp_path / "logs" / "one.log"))
    supervisor.stop("one")
    assert supervisor.wait_gone(["one"], timeout_s=5)
    assert "asked" in (tmp_path / "logs" / "one.log").read_text()
    assert supervisor.take_exit("one") == 0
    assert records.load(tmp_path / "run") == []


def test_one_that_does_not_listen_is_killed_after_its_grace_with_everything_it_started(
    make: Make, tmp_path: Path
) -> None:
    supervisor = make()
    supervisor.ensure(shell(tmp_path, "trap '' TERM; sleep 60 & echo up; while :; do sleep 0.05; done", grace_s=0.1))
    eventually(lambda: b"up" in logfiles.read(tmp_path / "logs" / "one.log"))
    supervisor.stop("one")
    assert supervisor.wait_gone(["one"], timeout_s=5)
    eventually(lambda: not list(procfs.marked(f"{tmp_path}/")))


def test_another_command_under_the_same_name_replaces_the_process(make: Make, tmp_path: Path) -> None:
    supervisor = make()
    supervisor.ensure(shell(tmp_path, "exec sleep 60"))
    first = running(supervisor).pid
    supervisor.ensure(shell(tmp_path, "exec sleep 61"))
    eventually(lambda: running(supervisor).pid not in (0, first))


def test_an_immutable_process_goes_on_whatever_its_command_would_be_now(make: Make, tmp_path: Path) -> None:
    supervisor = make()
    supervisor.ensure(shell(tmp_path, "exec sleep 60"))
    first = running(supervisor).pid
    supervisor.ensure(shell(tmp_path, "exec sleep 61", is_immutable=True))
    assert running(supervisor).pid == first


def test_a_process_gets_a_port_of_its_own_and_keeps_it_when_restarted(make: Make, tmp_path: Path) -> None:
    supervisor = make()
    spec = replace(shell(tmp_path, ""), command=lambda port: ("sh", "-c", f"exec sleep 6{port}"), needs_port=True)
    supervisor.ensure(spec)
    supervisor.ensure(replace(spec, name="two"))
    first, other = running(supervisor), running(supervisor, "two")
    assert first.port not in (0, other.port)
    os.kill(first.pid, signal.SIGKILL)
    assert eventually(lambda: _with_restarts(supervisor, 1)).port == first.port


def test_changes_are_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "logs").mkdir()
    told: list[str] = []
    supervisor = Supervisor(run_folder=tmp_path / "run", log_folder=tmp_path / "logs", changed=told.append)
    supervisor.adopt()
    supervisor.ensure(shell(tmp_path, "exec sleep 60"))
    eventually(lambda: told == ["one"])
    supervisor.stop("one")
    assert supervisor.wait_gone(["one"], timeout_s=5)
    supervisor.close()
    assert set(told) == {"one"}


def test_a_long_log_is_moved_aside_and_begun_again(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    log.write_text("old\n" * 10)
    logfiles.rotate_all(tmp_path, longest_bytes=10)
    assert log.read_text() == ""
    assert (tmp_path / "one.log.1").read_text() == "old\n" * 10


def test_a_log_is_read_from_an_offset_or_by_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    log.write_text("first\nsecond\nthird\n")
    assert logfiles.read(log, offset=6) == b"second\nthird\n"
    assert logfiles.read(log, tail_lines=1) == b"third\n"
    assert logfiles.read(tmp_path / "none.log") == b""


def test_following_a_log_gives_what_is_written_and_empty_pieces_in_between(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    log.write_text("old\n")
    following = logfiles.follow(log, offset=4)
    assert next(following) == b""
    with log.open("a") as file:
        file.write("new\n")
    assert eventually(lambda: next(following)) == b"new\n"


def _with_restarts(supervisor: Supervisor, number: int) -> State | None:
    state = supervisor.state("one")
    return state if state is not None and state.restarts == number and state.pid else None


def _in_phase(supervisor: Supervisor, phase: str, *, restarts: int) -> State | None:
    state = supervisor.state("one")
    return state if state is not None and state.phase == phase and state.restarts == restarts else None
