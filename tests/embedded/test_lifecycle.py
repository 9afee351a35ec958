"""`turnout up`, `down` and `status`: one engine per home, adopted after a kill, nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.embedded import running
from tests.embedded.running import Running, eventually
from turnout.embedded import lifecycle
from turnout.embedded.gateway import xds
from turnout.embedded.supervision import ports, procfs
from turnout.errors import Conflict, Failed

pytestmark = pytest.mark.e2e


def test_up_reports_every_part_with_its_memory_and_addresses(tmp_path: Path) -> None:
    with running.engine(tmp_path / "home"):
        found = lifecycle.status(tmp_path / "home")
        parts = {part.part: part for part in found.parts}
        assert found.running
        assert parts["engine"].state == parts["envoy"].state == "Running"
        assert 0 < parts["engine"].pss_mb <= parts["engine"].resident_mb < 100
        assert found.urls["gateway"] == f"http://127.0.0.1:{parts['envoy'].port}"
        assert found.as_dict()["resident_mb"] == sum(part.resident_mb for part in found.parts)


def test_secrets_and_kubeconfig_are_for_their_owner_only(tmp_path: Path) -> None:
    with running.engine(tmp_path / "home"):
        for name in ("kubeconfig", "token", "ledger.token", "tls/server.key"):
            assert (tmp_path / "home" / name).stat().st_mode & 0o777 == 0o600, name


def test_a_second_up_reports_the_running_engine_and_who_it_is(tmp_path: Path) -> None:
    with running.engine(tmp_path / "home") as engine:
        first = engine.engine().pid
        second = lifecycle.up(tmp_path / "home", gateway_port=0)
        assert second.running
        assert not second.started
        assert second.held_by.startswith(f"pid {first}, since 2")
        assert engine.engine().pid == first


def test_a_second_engine_on_a_home_says_who_holds_it_and_since_when(tmp_path: Path) -> None:
    with running.engine(tmp_path / "home") as engine:
        command = [sys.executable, "-m", "turnout.embedded", "--home", str(tmp_path / "home"), "--gateway-port", "0"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert second.returncode == 1
        assert (
            f"Conflict: {tmp_path / 'home'} is held by the engine with pid {engine.engine().pid}, since 2"
            in second.stderr
        )


@pytest.mark.parametrize("which", ["gateway", "api"])
def test_a_taken_port_is_named_and_nothing_is_left_behind(tmp_path: Path, which: str) -> None:
    home = tmp_path / "home"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        asked = {"gateway_port": 0, f"{which}_port": port}
        with pytest.raises(Conflict, match=f"port {port} on 127.0.0.1, wanted for the {which}, is taken"):
            lifecycle.up(home, without=running.WITHOUT, **asked)
    assert not lifecycle.status(home).running
    assert not list(procfs.marked(f"{home}/"))


def test_down_leaves_no_process_and_no_open_port(tmp_path: Path, model: Path) -> None:
    with running.engine(tmp_path / "home") as engine:
        open_ports = _serve_something(engine, model)
        assert lifecycle.down(engine.home)
        _assert_nothing_is_left(engine.home, open_ports)
        assert not lifecycle.down(engine.home)


def test_down_lets_requests_on_their_way_finish(tmp_path: Path, model: Path) -> None:
    with running.engine(tmp_path / "home") as engine:
        open_ports = _serve_something(engine, model)
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(engine.ask, "plum-default.localhost", **{"x-delay": "1"}) for _ in range(4)]
            eventually(lambda: xds.Admin(engine.home / "envoy").active_requests() == 4)
            lifecycle.down(engine.home)
            assert [answer.result().status for answer in asked] == [200] * 4
        _assert_nothing_is_left(engine.home, open_ports)


def test_down_cleans_up_after_an_engine_that_was_killed(tmp_path: Path, model: Path) -> None:
    with running.engine(tmp_path / "home") as engine:
        open_ports = _serve_something(engine, model)
        _kill(engine.engine().pid)
        assert lifecycle.down(engine.home)
        _assert_nothing_is_left(engine.home, open_ports)


def test_the_data_plane_outlives_a_killed_engine_and_the_next_one_adopts_it(tmp_path: Path, model: Path) -> None:
    with running.engine(tmp_path / "home") as engine:
        _serve_something(engine, model)
        predictor, gateway = engine.predictors()[0].pid, engine.record("envoy").pid
        with engine.load("plum-default.localhost") as load:
            _kill(engine.engine().pid)
            load.wait_more(50)
            lifecycle.up(engine.home, gateway_port=0, without=running.WITHOUT)
            load.wait_more(50)
        assert load.count(200) == load.total, load.answers
        assert (engine.predictors()[0].pid, engine.record("envoy").pid) == (predictor, gateway)
        assert engine.condition("isvc", "plum", "Ready")["status"] == "True"
        assert " 0 " in engine.kubectl("get", "pods", "--no-headers")


def test_everything_killed_at_once_is_back_after_up(tmp_path: Path, model: Path) -> None:
    with running.engine(tmp_path / "home") as engine:
        _serve_something(engine, model)
        for record in (engine.engine(), engine.record("envoy"), *engine.predictors()):
            _kill(record.pid)
        lifecycle.up(engine.home, gateway_port=0, without=running.WITHOUT)
        engine.wait_ready("plum")
        eventually(lambda: engine.ask("plum-default.localhost").status == 200)


def test_a_killed_gateway_comes_back_with_its_last_configuration(tmp_path: Path, model: Path) -> None:
    with running.engine(tmp_path / "home") as engine:
        _serve_something(engine, model)
        _kill(engine.record("envoy").pid)
        eventually(lambda: engine.record("envoy").restarts == 1 and ports.is_open(engine.record("envoy").port))
        assert engine.ask("plum-default.localhost").status == 200


def test_the_next_start_keeps_ports_objects_and_domain_that_it_is_not_told_to_change(tmp_path: Path) -> None:
    with running.engine(tmp_path / "home", domain="example.com") as engine:
        engine.apply(running.RUNTIME)
        before = lifecycle.status(engine.home).urls
        lifecycle.down(engine.home)
        lifecycle.up(engine.home, gateway_port=0, domain="example.com", without=running.WITHOUT)
        assert lifecycle.status(engine.home).urls == before
        assert "echo" in engine.kubectl("get", "servingruntimes", "-o", "name")


def test_an_engine_that_cannot_start_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "store.db").mkdir()
    with pytest.raises(Failed, match=r"ended with code 1: .*unable to open database file"):
        lifecycle.up(tmp_path / "home", gateway_port=0, without=running.WITHOUT)
    assert not list(procfs.marked(f"{tmp_path}/"))


def _serve_something(engine: Running, model: Path) -> list[int]:
    """Serve one model; the ports that are open then."""
    engine.apply(running.RUNTIME, running.inference_service("plum", model))
    engine.wait_ready("plum")
    return [engine.engine().port, engine.record("envoy").port, engine.predictors()[0].port]


def _assert_nothing_is_left(home: Path, open_ports: list[int]) -> None:
    assert not list(procfs.marked(f"{home}/"))
    assert not [port for port in open_ports if ports.is_open(port)]
    assert not list((home / "run").iterdir())


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
