from __future__ import annotations

import socket

import pytest

from cluster import checking, kind
from cluster.tools import Problem
from tests.cluster.conftest import StandIns


def test_what_a_machine_lacks_is_said_at_once(stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_ins.fails["docker info"] = "Cannot connect to the Docker daemon"
    stand_ins.ready()
    (stand_ins.folder / "bin" / "kind").unlink()
    monkeypatch.setattr(checking, "_memory_gb", lambda: 2.0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(checking, "_PORT", taken.getsockname()[1])
        with pytest.raises(Problem) as caught:
            checking.check(has_cluster=False)
    text = str(caught.value)
    for wanted in ("docker or podman", "kind: https", "8 GB of memory; there are 2", "port "):
        assert wanted in text


def test_a_cluster_that_is_there_holds_the_port_itself(stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "_memory_gb", lambda: 16.0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(checking, "_PORT", taken.getsockname()[1])
        checking.check(has_cluster=True)


def test_down_deletes_our_cluster_and_no_other(stand_ins: StandIns, capsys: pytest.CaptureFixture[str]) -> None:
    stand_ins.answers["kind get clusters"] = "turnout\nsomebody-elses"
    stand_ins.ready()
    kind.down()
    assert stand_ins.calls("kind delete") == ["kind delete cluster --name turnout"]
    stand_ins.answers["kind get clusters"] = "somebody-elses"
    stand_ins.ready()
    kind.down()
    assert len(stand_ins.calls("kind delete")) == 1
    assert "no cluster turnout" in capsys.readouterr().out


def test_up_makes_the_cluster_with_our_ports_and_the_pinned_node(
    stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(checking, "check", lambda **_: done.append("check"))
    monkeypatch.setattr(kind.upstream, "install", lambda **_: done.append("upstream"))
    monkeypatch.setattr(kind.deploying, "deploy", lambda overlay: done.append(f"deploy {overlay}"))
    real = kind.run
    monkeypatch.setattr(
        kind, "run", lambda *words: done.append(words[0].rpartition("/")[2]) or real("kind", *words[1:])
    )
    kind.up(kfp=False)
    (made,) = stand_ins.calls("kind create cluster")
    assert "--config" in made
    assert f"--image {kind.upstream.versions()['kind-node']}" in made
    assert done == ["check", "kind", "build.sh", "load.sh", "upstream", "deploy kind"]
