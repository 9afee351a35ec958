"""KServe's own canary, `spec.canary`: shares, promotion by name, roll back; without a request lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.embedded import running
from tests.embedded.running import Running, eventually

pytestmark = pytest.mark.e2e

HOST = "fig-default.localhost"


def test_a_canary_gets_its_share_is_promoted_with_its_process_and_loses_no_request(
    engine: Running, model: Path, tmp_path: Path
) -> None:
    _start(engine, "fig", model)
    with engine.load(HOST) as load:
        _patch(engine, "fig", {"canary": [_canary("v2", tmp_path, percent=40)]})
        eventually(lambda: _shares(engine, "fig") == {"fig-predictor": 60, "fig-v2-predictor": 40})
        eventually(lambda: engine.condition("isvc", "fig", "CanaryPredictorReady").get("reason") == "AllCanariesReady")
        eventually(lambda: {_pid(engine) for _ in range(20)} == _pids(engine, "fig"))
        (canary,) = _pids(engine, "fig-v2")
        promoted = {"name": "v2", "model": {"storageUri": tmp_path.as_uri()}}
        _patch(engine, "fig", {"predictor": promoted, "canary": None})
        eventually(lambda: _workloads(engine, "fig") == {"fig-v2-predictor"})
        load.wait_more(100)
        assert {_pid(engine) for _ in range(10)} == {canary}
        assert _shares(engine, "fig") == {"fig-v2-predictor": 1}
    assert load.count(200) == load.total, load.answers
    found = engine.get("isvc", "fig")
    assert "canaryStatuses" not in found["status"]
    assert found["status"]["components"]["predictor"]["url"] == "http://fig-v2-predictor-default.localhost"


def test_a_canary_that_is_not_ready_gets_nothing_and_one_taken_back_leaves_nothing(
    engine: Running, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "refusal").write_text("broken")
    _start(engine, "plum", model)
    with engine.load("plum-default.localhost") as load:
        _patch(
            engine,
            "plum",
            {"canary": [_canary("bad", tmp_path / "bad", percent=50), _canary("good", model, percent=10)]},
        )
        eventually(lambda: _shares(engine, "plum") == {"plum-predictor": 90, "plum-good-predictor": 10})
        statuses = engine.get("isvc", "plum")["status"]["canaryStatuses"]
        assert [(entry["name"], entry["ready"]) for entry in statuses] == [("bad", False), ("good", True)]
        assert engine.condition("isvc", "plum", "CanaryPredictorReady")["reason"] == "CanariesNotReady"
        assert engine.condition("isvc", "plum", "Ready")["status"] == "True"
        _patch(engine, "plum", {"canary": None})
        eventually(lambda: _workloads(engine, "plum") == {"plum-predictor"})
        eventually(lambda: _shares(engine, "plum") == {"plum-predictor": 1})
    assert load.count(200) == load.total, load.answers
    assert engine.condition("isvc", "plum", "CanaryPredictorReady") == {}


def test_a_model_under_a_new_name_takes_over_when_it_is_ready(engine: Running, model: Path, tmp_path: Path) -> None:
    (tmp_path / "delay").write_text("0.5")
    _start(engine, "kiwi", model)
    with engine.load("kiwi-default.localhost") as load:
        _patch(engine, "kiwi", {"predictor": {"name": "v2", "model": {"storageUri": tmp_path.as_uri()}}})
        eventually(lambda: _workloads(engine, "kiwi") == {"kiwi-v2-predictor"})
        load.wait_more(50)
    assert load.count(200) == load.total, load.answers


def _start(engine: Running, name: str, model: Path) -> None:
    engine.apply(running.inference_service(name, model))
    engine.wait_ready(name)
    eventually(lambda: engine.ask(f"{name}-default.localhost").status == 200)


def _canary(name: str, model: Path, *, percent: int) -> dict[str, Any]:
    fields = {"modelFormat": {"name": "echo"}, "storageUri": model.as_uri()}
    return {"trafficPercent": percent, "predictor": {"name": name, "minReplicas": 1, "model": fields}}


def _patch(engine: Running, name: str, spec: dict[str, Any]) -> None:
    engine.kubectl("patch", "isvc", name, "--type=merge", "-p", json.dumps({"spec": spec}))


def _shares(engine: Running, name: str) -> dict[str, int]:
    (rule,) = engine.get("httproute", name)["spec"]["rules"]
    return {reference["name"]: reference["weight"] for reference in rule["backendRefs"]}


def _workloads(engine: Running, name: str) -> set[str]:
    """The Deployments and Services of an InferenceService; both must agree."""
    label = f"serving.kserve.io/inferenceservice={name}"
    found = [
        {
            entry["metadata"]["name"]
            for entry in json.loads(engine.kubectl("get", kind, "-l", label, "-o", "json"))["items"]
        }
        for kind in ("deployments", "services")
    ]
    return found[0] | found[1]


def _pids(engine: Running, prefix: str) -> set[int]:
    return {record.pid for record in engine.predictors() if record.name.startswith(f"default.{prefix}-")}


def _pid(engine: Running) -> int:
    return int(engine.ask(HOST).json["pid"])
