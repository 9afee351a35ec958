"""What a person with kubectl sees of an InferenceService on the engine."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
import yaml

from tests.embedded import running
from tests.embedded.running import Running, eventually

pytestmark = pytest.mark.e2e


def test_an_applied_inference_service_becomes_ready_and_answers_under_its_host_name(
    engine: Running, model: Path
) -> None:
    engine.apply(running.inference_service("plum", model))
    engine.wait_ready("plum")
    table = engine.kubectl("get", "isvc", "plum")
    assert re.search(r"plum +http://plum-default.localhost +True", table)
    answer = engine.ask("plum-default.localhost", "/v2/models/plum")
    assert (answer.status, answer.json["version"], answer.json["path"]) == (200, "plum", "/v2/models/plum")
    assert answer.json["headers"]["kserve-isvc-name"] == "plum"
    assert engine.ask("plum-predictor-default.localhost").status == 200


def test_pods_deployments_and_services_are_views_of_the_real_processes(engine: Running, model: Path) -> None:
    engine.apply(running.inference_service("kiwi", model))
    engine.wait_ready("kiwi")
    assert re.search(r"kiwi-predictor +1/1 +1 +1", engine.kubectl("get", "deploy", "kiwi-predictor"))
    pods = engine.kubectl("get", "pods", "-l", "app=isvc.kiwi-predictor", "--no-headers")
    assert re.search(r"^kiwi-predictor-\w{10}-\w{5} +1/1 +Running +0", pods)
    assert engine.kubectl("logs", "deploy/kiwi-predictor", "-c", "kserve-container").strip() == "echo kiwi listens"
    assert "InferenceServiceReady" in engine.kubectl("describe", "isvc", "kiwi")


def test_patching_min_replicas_under_load_scales_both_ways_without_a_failed_request(
    engine: Running, model: Path
) -> None:
    engine.apply(running.inference_service("pear", model))
    engine.wait_ready("pear")
    with engine.load("pear-default.localhost") as load:
        for replicas in (3, 1):
            patch = f'{{"spec": {{"predictor": {{"minReplicas": {replicas}}}}}}}'
            engine.kubectl("patch", "isvc", "pear", "--type=merge", "-p", patch)
            eventually(lambda wanted=replicas: _pods(engine, "pear") == wanted)
            load.wait_more(50)
    assert load.count(200) == load.total, load.answers


def test_another_model_is_rolled_out_under_load_without_a_failed_request(
    engine: Running, model: Path, tmp_path: Path
) -> None:
    engine.apply(running.inference_service("lime", model))
    engine.wait_ready("lime")
    other = tmp_path / "other"
    other.mkdir()
    before = engine.ask("lime-default.localhost").json["pid"]
    with engine.load("lime-default.localhost") as load:
        engine.apply(running.inference_service("lime", other))
        eventually(lambda: engine.ask("lime-default.localhost").json["pid"] != before and _pods(engine, "lime") == 1)
        load.wait_more(50)
    assert load.count(200) == load.total, load.answers


def test_a_predictor_killed_beside_a_second_one_costs_no_request(engine: Running, model: Path) -> None:
    engine.apply(running.inference_service("date", model, replicas=2))
    engine.wait_ready("date")
    with engine.load("date-default.localhost") as load:
        for _ in range(3):
            victim = engine.ask("date-default.localhost").json["pid"]
            _kill(victim)
            load.wait_more(100)
            eventually(lambda: engine.get("deploy", "date-predictor")["status"].get("readyReplicas") == 2)
    assert load.count(200) == load.total, load.answers


def test_a_single_predictor_killed_costs_only_503s_until_it_is_back(engine: Running, model: Path) -> None:
    engine.apply(running.inference_service("nut", model))
    engine.wait_ready("nut")
    with engine.load("nut-default.localhost") as load:
        _kill(engine.ask("nut-default.localhost").json["pid"])
        eventually(lambda: engine.ask("nut-default.localhost").status == 200)
        load.wait_more(50)
    assert load.count(200) + load.count(503) == load.total, load.answers
    pod = engine.kubectl("get", "pods", "-l", "app=isvc.nut-predictor", "--no-headers")
    assert re.search(r"1/1 +Running +1 ", pod)


def test_deletion_takes_it_out_of_the_gateway_before_its_process_ends(engine: Running, model: Path) -> None:
    engine.apply(running.inference_service("yam", model))
    engine.wait_ready("yam")
    with engine.load("yam-default.localhost") as load:
        load.wait_more(20)
        assert 'isvc.serving.kserve.io "yam" deleted' in engine.kubectl("delete", "isvc", "yam").replace(
            "inferenceservice", "isvc"
        )
        load.wait_more(5)
    assert load.count(200) + load.count(404) == load.total, load.answers
    assert not [record for record in engine.predictors() if ".yam-" in record.name]
    assert "yam" not in engine.kubectl("get", "pods,deploy,svc,httproutes")


def test_a_deleted_namespace_takes_its_inference_services_and_their_processes_along(
    engine: Running, model: Path
) -> None:
    namespaced = [running.RUNTIME, running.inference_service("gone", model)]
    engine.kubectl("create", "namespace", "short")
    engine.apply(*({**obj, "metadata": {**obj["metadata"], "namespace": "short"}} for obj in namespaced))
    engine.kubectl("wait", "isvc/gone", "-n", "short", "--for=condition=Ready", "--timeout=20s")
    engine.kubectl("delete", "namespace", "short", "--timeout=20s")
    assert not [record for record in engine.predictors() if record.name.startswith("short.")]


def test_one_whose_finalizer_was_taken_away_leaves_no_process(engine: Running, model: Path) -> None:
    engine.apply(running.inference_service("torn", model))
    engine.wait_ready("torn")
    engine.kubectl("delete", "isvc", "torn", "--wait=false")
    engine.kubectl("patch", "isvc", "torn", "--type=merge", "-p", '{"metadata": {"finalizers": null}}', check=False)
    eventually(lambda: not [record for record in engine.predictors() if ".torn-" in record.name])
    eventually(lambda: "torn" not in engine.kubectl("get", "pods,deploy,svc,httproutes"))


def test_a_model_that_its_predictor_refuses_says_why_in_the_conditions(engine: Running, model: Path) -> None:
    refusal = "turnout.predictor: ModelError: model.json: digest wanted sha256:aa, found sha256:bb"
    (model / "refusal").write_text(refusal)
    engine.apply(running.inference_service("fig", model))
    found = eventually(lambda: _failed_predictor(engine, "fig"))
    assert (found["reason"], found["message"]) == ("ModelLoadFailed", refusal)
    isvc = engine.get("isvc", "fig")
    assert isvc["status"]["modelStatus"]["lastFailureInfo"] == {
        "reason": "ModelLoadFailed",
        "message": refusal,
        "exitCode": 3,
    }
    assert isvc["status"]["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
    assert engine.condition("isvc", "fig", "Ready")["status"] == "False"
    eventually(lambda: "CrashLoopBackOff" in engine.kubectl("get", "pods", "-l", "app=isvc.fig-predictor"))


def test_a_missing_model_folder_is_reported_and_found_when_it_comes(engine: Running, model: Path) -> None:
    late = model / "late"
    engine.apply(running.inference_service("late", late))
    failure = eventually(lambda: engine.get("isvc", "late")["status"].get("modelStatus", {}).get("lastFailureInfo"))
    assert failure["reason"] == "ModelLoadFailed"
    assert str(late) in failure["message"]
    late.mkdir()
    engine.wait_ready("late")


def test_a_runtime_without_a_command_leaves_it_not_ready_with_a_condition_that_says_so(
    engine: Running, model: Path
) -> None:
    runtime = {**running.RUNTIME, "metadata": {"name": "boxed", "namespace": "default"}}
    runtime["spec"] = {**running.RUNTIME["spec"], "annotations": {}, "supportedModelFormats": [{"name": "boxed"}]}
    engine.apply(runtime, running.inference_service("box", model, modelFormat={"name": "boxed"}, runtime="boxed"))
    found = eventually(lambda: _failed_predictor(engine, "box"))
    assert "ServingRuntime boxed has no annotation turnout.dev/command" in found["message"]
    assert engine.condition("isvc", "box", "Ready")["status"] == "False"


def test_a_scheme_that_the_engine_does_not_serve_is_said_in_a_condition(engine: Running) -> None:
    engine.apply(running.inference_service("far", "gs://bucket/model"))
    found = eventually(lambda: _failed_predictor(engine, "far"))
    assert found["reason"] == "StorageNotSupported"
    assert "gs://bucket/model" in found["message"]


def test_model_arguments_and_environment_reach_the_process(engine: Running, model: Path) -> None:
    extra = {"args": ["--extra={{.Namespace}}"], "env": [{"name": "COLOUR", "value": "{{.Name}}"}]}
    engine.apply(running.inference_service("oat", model, **extra))
    engine.wait_ready("oat")
    process = engine.ask("oat-default.localhost", "/process").json
    assert process["argv"][-1] == "--extra=default"
    environment = process["environment"]
    assert environment["COLOUR"] == environment["INFERENCE_SERVICE_NAME"] == "oat"
    assert environment["POD_NAME"].startswith("oat-predictor-")
    assert Path(environment["TURNOUT_PREDICTION_LOG_DIR"]).is_dir()


def test_zero_replicas_run_nothing_and_are_not_ready(engine: Running, model: Path) -> None:
    engine.apply(running.inference_service("zero", model, replicas=0))
    found = eventually(lambda: engine.condition("isvc", "zero", "IngressReady").get("reason") == "EndpointsNotFound")
    assert found
    assert engine.condition("isvc", "zero", "PredictorReady")["status"] == "True"
    assert engine.ask("zero-default.localhost").status == 503


def test_the_samples_are_what_the_engine_can_serve(engine: Running) -> None:
    samples = Path(__file__).parents[2] / "kserve" / "samples"
    isvc = yaml.safe_load((samples / "iris-v1.yaml").read_text())
    isvc["spec"]["predictor"]["model"] |= {"modelFormat": {"name": "echo"}, "runtime": "echo"}
    engine.apply(isvc, yaml.safe_load((samples / "iris-turnout.yaml").read_text()))
    engine.wait_ready("iris-v1")
    listed = engine.kubectl("get", "isvc,turnouts,httproutes")
    assert "inferenceservice.serving.kserve.io/iris-v1" in listed
    assert "turnout.turnout.dev/iris" in listed
    assert "httproute.gateway.networking.k8s.io/iris-v1" in listed


def _pods(engine: Running, name: str) -> int:
    return len(engine.kubectl("get", "pods", "-l", f"app=isvc.{name}-predictor", "-o", "name").split())


def _failed_predictor(engine: Running, name: str) -> dict[str, str]:
    found = engine.condition("isvc", name, "PredictorReady")
    return found if found.get("status") == "False" and found.get("reason") != "MinimumReplicasUnavailable" else {}


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
