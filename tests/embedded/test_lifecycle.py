"""`turnout up`, `down` and `status`: one engine per home, adopted after a kill, nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
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


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An engine that is only looked at."""
    with running.engine(tmp_path_factory.mktemp("idle") / "home") as engine:
        yield engine


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An engine that serves a model and gets over everything that is done to it."""
    folder = tmp_path_factory.mktemp("serving")
    (folder / "model").mkdir()
    with running.engine(folder / "home") as engine:
        _serve_something(engine, folder / "model")
        yield engine


def test_up_reports_every_part_with_its_memory_and_addresses(idle: Running) -> None:
    found = lifecycle.status(idle.home)
    parts = {part.part: part for part in found.parts}
    assert found.running
    assert parts["engine"].state == parts["envoy"].state == "Running"
    assert 0 < parts["engine"].pss_mb <= parts["engine"].resident_mb < 100
    assert found.urls["gateway"] == f"http://127.0.0.1:{parts['envoy'].port}"
    assert found.as_dict()["resident_mb"] == sum(part.resident_mb for part in found.parts)


def test_secrets_and_kubeconfig_are_for_their_owner_only(idle: Running) -> None:
    for name in ("kubeconfig", "token", "ledger.token", "tls/server.key"):
        assert (idle.home / name).stat().st_mode & 0o777 == 0o600, name


def test_a_second_up_reports_the_running_engine_and_who_it_is(idle: Running) -> None:
    first = idle.engine().pid
    second = lifecycle.up(idle.home, gateway_port=0)
    assert second.running
    assert not second.started
    assert second.held_by.startswith(f"pid {first}, since 2")
    assert idle.engine().pid == first


def test_a_second_engine_on_a_home_says_who_holds_it_and_since_when(idle: Running) -> None:
    command = [sys.executable, "-m", "turnout.embedded", "--home", str(idle.home), "--gateway-port", "0"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert second.returncode == 1
    assert f"Conflict: {idle.home} is held by the engine with pid {idle.engine().pid}, since 2" in second.stderr


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


def test_down_lets_requests_finish_and_leaves_no_process_and_no_open_port(tmp_path: Path, model: Path) -> None:
    with running.engine(tmp_path / "home") as engine:
        open_ports = _serve_something(engine, model)
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(engine.ask, "plum-default.localhost", **{"x-delay": "1"}) for _ in range(4)]
            eventually(lambda: xds.Admin(engine.home / "envoy").active_requests() == 4)
            assert lifecycle.down(engine.home)
            assert [answer.result().status for answer in asked] == [200] * 4
        _assert_nothing_is_left(engine.home, open_ports)
        assert not lifecycle.down(engine.home)


def test_down_cleans_up_after_an_engine_that_was_killed(tmp_path: Path, model: Path) -> None:
    with running.engine(tmp_path / "home") as engine:
        open_ports = _serve_something(engine, model)
        _kill(engine.engine().pid)
        assert lifecycle.down(engine.home)
        _assert_nothing_is_left(engine.home, open_ports)


def test_the_data_plane_outlives_a_killed_engine_and_the_next_one_adopts_it(serving: Running) -> None:
    predictor, gateway = serving.predictors()[0], serving.record("envoy").pid
    with serving.load("plum-default.localhost") as load:
        _kill(serving.engine().pid)
        load.wait_more(50)
        lifecycle.up(serving.home, gateway_port=0, without=running.WITHOUT)
        load.wait_more(50)
    assert load.count(200) == load.total, load.answers
    adopted = serving.predictors()[0]
    assert (adopted.pid, adopted.restarts, serving.record("envoy").pid) == (predictor.pid, predictor.restarts, gateway)
    assert serving.condition("isvc", "plum", "Ready")["status"] == "True"


def test_everything_killed_at_once_is_back_after_up(serving: Running) -> None:
    for record in (serving.engine(), serving.record("envoy"), *serving.predictors()):
        _kill(record.pid)
    lifecycle.up(serving.home, gateway_port=0, without=running.WITHOUT)
    serving.wait_ready("plum")
    eventually(lambda: serving.ask("plum-default.localhost").status == 200)


def test_a_killed_gateway_comes_back_with_its_last_configuration(serving: Running) -> None:
    before = serving.record("envoy")
    _kill(before.pid)
    eventually(lambda: serving.record("envoy").pid != before.pid and ports.is_open(before.port))
    assert serving.record("envoy").restarts == before.restarts + 1
    assert serving.ask("plum-default.localhost").status == 200


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
