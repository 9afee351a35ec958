"""The status of an InferenceService in KServe's order and words."""

from __future__ import annotations

from typing import Any

from turnout.embedded.serving import isvcstatus
from turnout.embedded.serving.isvcstatus import Blocked, View
from turnout.embedded.serving.runtimes import Choice, Refusal

Object = dict[str, Any]

ISVC: Object = {"metadata": {"name": "fig", "namespace": "default", "generation": 2}, "spec": {}}
DONE = 'ReplicaSet "fig-predictor-x" has successfully progressed.'
HOSTS = {"fig": "fig-default.localhost", "fig-predictor": "fig-predictor-default.localhost"}


def deployment(*, is_available: bool, command: str = "run") -> Object:
    available = {
        "type": "Available",
        "status": str(is_available),
        "reason": "MinimumReplicasAvailable" if is_available else "MinimumReplicasUnavailable",
        "message": "Deployment does not have minimum availability.",
    }
    progressing = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": DONE}
    annotations = {"turnout.dev/command": command} if command else {}
    return {
        "metadata": {"name": "fig-predictor"},
        "spec": {"template": {"metadata": {"annotations": annotations}}},
        "status": {"observedGeneration": 1, "conditions": [available, progressing]},
    }


def route(*conditions: tuple[str, str, str]) -> Object:
    entries = [{"type": name, "status": status, "reason": name, "message": text} for name, status, text in conditions]
    return {"status": {"parents": [{"conditions": entries}]}}


GOOD = route(("Accepted", "True", ""), ("ResolvedRefs", "True", ""))


def pod(state: Object | None = None, last: Object | None = None, *, ready: bool = False) -> Object:
    container = {"ready": ready, "state": state or {"running": {}}, "lastState": {"terminated": last} if last else {}}
    return {"status": {"containerStatuses": [container]}}


def view(*, is_available: bool = True, pods: list[Object] | None = None, routed: bool = True, **more: Any) -> View:
    return View(
        choice=Choice({"kind": "ClusterServingRuntime", "metadata": {"name": "turnout-onnx"}, "spec": {}}),
        deployment=deployment(is_available=is_available, command=more.get("command", "run")),
        pods=[pod(ready=True)] if pods is None else pods,
        routes=more.get("routes", dict.fromkeys(HOSTS, GOOD if routed else None)),
        hosts=HOSTS,
        domain="localhost",
        canaries=more.get("canaries", {}),
    )


def texts(status: Object) -> dict[str, str]:
    return {c["type"]: " ".join((c["status"], c.get("reason", ""))).strip() for c in status["conditions"]}


def test_a_ready_service_has_conditions_by_type_addresses_a_loaded_model_and_its_deployments_generation() -> None:
    assert isvcstatus.serving(ISVC, view()) == {
        "url": "http://fig-default.localhost",
        "address": {"url": "http://fig-predictor.default.svc.cluster.local"},
        "components": {"predictor": {"url": "http://fig-predictor-default.localhost"}},
        "clusterServingRuntimeName": "turnout-onnx",
        "deploymentMode": "Standard",
        "observedGeneration": 1,
        "modelStatus": {
            "copies": {"failedCopies": 0, "totalCopies": 1},
            "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
            "transitionStatus": "UpToDate",
        },
        "conditions": [
            {"type": "IngressReady", "status": "True"},
            {"type": "PredictorReady", "status": "True", "reason": "NewReplicaSetAvailable", "message": DONE},
            {"type": "Ready", "status": "True"},
            {"type": "Stopped", "status": "False", "severity": "Info"},
        ],
    }


def test_one_that_starts_is_not_ready_and_its_model_pending() -> None:
    found = isvcstatus.serving(ISVC, view(is_available=False, pods=[], routed=False))
    assert texts(found) == {
        "IngressReady": "False Predictor Deployment NotReady",
        "PredictorReady": "False MinimumReplicasUnavailable",
        "Ready": "False Predictor Deployment NotReady",
        "Stopped": "False",
    }
    assert found["modelStatus"] == {
        "copies": {"failedCopies": 0},
        "states": {"activeModelState": "", "targetModelState": "Pending"},
        "transitionStatus": "InProgress",
    }
    assert "url" not in found


def test_a_process_that_explains_its_end_is_quoted_also_while_it_is_tried_again() -> None:
    end = {"exitCode": 3, "message": "turnout.predictor: ModelError: digest"}
    for state in ({"waiting": {"reason": "CrashLoopBackOff"}}, {"running": {}}):
        found = isvcstatus.serving(ISVC, view(is_available=False, pods=[pod(state, end)], routed=False))
        predictor = next(c for c in found["conditions"] if c["type"] == "PredictorReady")
        assert (predictor["reason"], predictor["message"]) == ("ModelLoadFailed", end["message"])
        assert found["modelStatus"]["lastFailureInfo"] == {"reason": "ModelLoadFailed", **end}
        assert found["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"


def test_one_that_served_before_and_is_restarted_has_not_failed_to_load() -> None:
    served = {**ISVC, "status": {"modelStatus": {"states": {"activeModelState": "Loaded"}}}}
    restarted = view(is_available=False, pods=[pod(None, {"exitCode": 137})])
    assert isvcstatus.serving(served, restarted)["modelStatus"]["states"] == {
        "activeModelState": "Loaded",
        "targetModelState": "Pending",
    }


def test_a_failure_stays_in_the_status_after_a_success() -> None:
    info = {"reason": "ModelLoadFailed", "exitCode": 1}
    failed = {**ISVC, "status": {"modelStatus": {"lastFailureInfo": info}}}
    assert isvcstatus.serving(failed, view())["modelStatus"]["lastFailureInfo"] == info


def test_a_runtime_without_a_command_is_named_in_predictor_ready() -> None:
    found = isvcstatus.serving(ISVC, view(is_available=False, pods=[], routed=False, command=""))
    predictor = next(c for c in found["conditions"] if c["type"] == "PredictorReady")
    assert "ClusterServingRuntime turnout-onnx has no annotation turnout.dev/command" in predictor["message"]


def test_ready_follows_what_the_gateway_says_of_its_routes() -> None:
    empty = route(("Accepted", "True", ""), ("BackendsAvailable", "False", "no ready endpoints"))
    found = isvcstatus.serving(ISVC, view(routes={"fig": GOOD, "fig-predictor": empty}))
    ready = next(c for c in found["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["message"]) == ("False", "Predictor no ready endpoints")
    waiting = isvcstatus.serving(ISVC, view(routes={"fig": GOOD, "fig-predictor": {}}))
    assert texts(waiting)["IngressReady"] == "False ParentStatusNotAvailable"


def test_without_a_runtime_the_conditions_stay_unknown_and_the_model_status_says_why() -> None:
    found = isvcstatus.blocked(ISVC, Blocked.by_runtime(Refusal(reason="NoSupportingRuntime", message="none")))
    assert set(texts(found).values()) == {"Unknown"}
    assert found["modelStatus"]["lastFailureInfo"] == {"reason": "NoSupportingRuntime", "message": "none"}
    assert found["modelStatus"]["transitionStatus"] == "InvalidSpec"


def test_another_hindrance_shows_in_predictor_ready_and_ready() -> None:
    found = isvcstatus.blocked(ISVC, Blocked.because(reason="ReconcileFailed", message="too long"))
    assert texts(found) == {
        "IngressReady": "Unknown",
        "PredictorReady": "False ReconcileFailed",
        "Ready": "False ReconcileFailed",
    }


def test_a_stopped_service_keeps_its_runtimes_name_only() -> None:
    was = {**ISVC, "status": {"servingRuntimeName": "echo", "url": "http://x", "observedGeneration": 1}}
    found = isvcstatus.stopped(was)
    assert texts(found) == {
        **dict.fromkeys(("IngressReady", "PredictorReady", "Ready"), "False Stopped"),
        "Stopped": "True",
    }
    assert found["servingRuntimeName"] == "echo"
    assert "url" not in found


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    before = {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "then"}]}
    same, turned = ({"conditions": [{"type": "Ready", "status": status}]} for status in ("False", "True"))
    assert isvcstatus.with_times(same, before)["conditions"][0]["lastTransitionTime"] == "then"
    assert isvcstatus.with_times(turned, before)["conditions"][0]["lastTransitionTime"] != "then"
