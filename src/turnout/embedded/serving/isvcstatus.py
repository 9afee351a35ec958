"""The status of an InferenceService, from what became of its Deployment, pods and routes: KServe's order and words.

Pure: objects in, status out. `observedGeneration` is the Deployment's, as it is in KServe: after a change that leaves
the Deployment alone (a percentage, a timeout) it stays behind metadata.generation for good, and a wait for it that
holds here holds there. One thing is said better: a process that explains its end is quoted in PredictorReady.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnout.embedded import objects
from turnout.embedded.serving import runtimes
from turnout.kube.inferenceservices import condition, service_name

__all__ = ["Blocked", "CanaryState", "Condition", "View", "blocked", "serving", "stopped", "with_times"]

Object = dict[str, Any]

_MODEL_LOAD_FAILED = "ModelLoadFailed"
_NO_COMMAND = "NoCommand"
_CANARIES = "CanaryPredictorReady"


@dataclass(frozen=True)
class Condition:
    """One condition without its time."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    severity: str = ""

    def to_dict(self) -> Object:
        """As it stands in a status."""
        fields = {"reason": self.reason, "message": self.message, "severity": self.severity}
        return {"type": self.type, "status": self.status, **{key: value for key, value in fields.items() if value}}


@dataclass(frozen=True)
class Blocked:
    """Why no workload can be made of an InferenceService at all."""

    predictor: Condition = Condition("PredictorReady")
    model_status: Mapping[str, Any] = field(default_factory=lambda: {"transitionStatus": ""})

    @classmethod
    def by_runtime(cls, refusal: runtimes.Refusal) -> Blocked:
        """No runtime serves it, or its templates are broken."""
        return cls(
            model_status={
                "lastFailureInfo": {"reason": refusal.reason, "message": refusal.message},
                "states": {"activeModelState": "", "targetModelState": "FailedToLoad"},
                "transitionStatus": "InvalidSpec",
            }
        )

    @classmethod
    def because(cls, *, reason: str, message: str, status: str = "False") -> Blocked:
        """A reason that shows in PredictorReady."""
        return cls(predictor=Condition("PredictorReady", status=status, reason=reason, message=message))


@dataclass(frozen=True)
class Failure:
    """How the newest pod's initializer or process failed."""

    exit_code: int
    message: str
    is_initial: bool

    def to_dict(self) -> Object:
        """As it stands in lastFailureInfo."""
        info: Object = {"reason": _MODEL_LOAD_FAILED, "exitCode": self.exit_code}
        return {**info, "message": self.message} if self.message else info


@dataclass(frozen=True)
class CanaryState:
    """What shows of a canary."""

    percent: int
    is_ready: bool


@dataclass(frozen=True)
class View:
    """What an InferenceService has at the moment. `pods` are the stable predictor's, the newest first."""

    choice: runtimes.Choice | None
    deployment: Object
    pods: Sequence[Object]
    routes: Mapping[str, Object | None]
    hosts: Mapping[str, str]
    domain: str
    canaries: Mapping[str, CanaryState] = field(default_factory=dict)


def blocked(isvc: Object, reason: Blocked) -> Object:
    """The status while nothing can be made of it."""
    ingress = Condition("IngressReady")
    return {
        "deploymentMode": "Standard",
        "modelStatus": dict(reason.model_status),
        "conditions": [ingress.to_dict(), reason.predictor.to_dict(), _ready(ingress, reason.predictor).to_dict()],
    }


def stopped(isvc: Object) -> Object:
    """The status while the annotation serving.kserve.io/stop holds it down."""
    off = [Condition(name, status="False", reason="Stopped") for name in ("IngressReady", "PredictorReady", "Ready")]
    flag = Condition("Stopped", status="True", severity="Info")
    if isvc["spec"].get("canary"):
        off = [Condition(_CANARIES, status="False", reason="Stopped", severity="Info"), *off]
    names = {key: value for key, value in (isvc.get("status") or {}).items() if key.endswith("RuntimeName")}
    return {
        **names,
        "deploymentMode": "Standard",
        "modelStatus": {"transitionStatus": ""},
        "conditions": [entry.to_dict() for entry in (*off, flag)],
    }


def serving(isvc: Object, view: View) -> Object:
    """The status with a workload."""
    before = isvc.get("status") or {}
    has_served = bool(((before.get("modelStatus") or {}).get("states") or {}).get("activeModelState"))
    failure = _failure(view.pods, has_served=has_served)
    predictor = _predictor(view, failure)
    ingress = _ingress(isvc, view, predictor)
    ready = _ready(ingress, predictor)
    flag = Condition("Stopped", status="False", severity="Info")
    kept = {key: before[key] for key in ("url", "address", "components") if key in before}
    canaries = _canary_statuses(view)
    observed = (view.deployment.get("status") or {}).get("observedGeneration") or before.get("observedGeneration")
    return {
        **kept,
        **(_addresses(isvc, view) if ingress.status == "True" else {}),
        **_runtime_name(view.choice),
        "deploymentMode": "Standard",
        **({"observedGeneration": observed} if observed else {}),
        "modelStatus": _model_status(before.get("modelStatus") or {}, view, failure, is_ready=ready.status == "True"),
        **({"canaryStatuses": canaries} if canaries else {}),
        "conditions": [entry.to_dict() for entry in (*_canaries(view), ingress, predictor, ready, flag)],
    }


def with_times(status: Object, before: Object | None) -> Object:
    """The status with lastTransitionTime kept where a condition's status is what it was."""
    old = {entry["type"]: entry for entry in (before or {}).get("conditions") or ()}
    timed = []
    for entry in status["conditions"]:
        was = old.get(entry["type"], {})
        same = was.get("status") == entry["status"] and "lastTransitionTime" in was
        timed.append({**entry, "lastTransitionTime": was["lastTransitionTime"] if same else objects.now()})
    return {**status, "conditions": timed}


def _canary_statuses(view: View) -> list[Object]:
    """KServe declares a canary's modelStatus and never fills it."""
    return [
        {
            "name": name,
            "ready": canary.is_ready,
            "trafficPercent": canary.percent,
            "modelStatus": {"transitionStatus": ""},
        }
        for name, canary in view.canaries.items()
    ]


def _canaries(view: View) -> list[Condition]:
    """Says nothing of Ready: an InferenceService with a dead canary is Ready."""
    if not view.canaries:
        return []
    holds = all(canary.is_ready for canary in view.canaries.values())
    reason = "AllCanariesReady" if holds else "CanariesNotReady"
    return [Condition(_CANARIES, status=str(holds), reason=reason, severity="Info")]


def _predictor(view: View, failure: Failure | None) -> Condition:
    """PredictorReady follows the Deployment."""
    available, progressing = (condition(view.deployment, name) for name in ("Available", "Progressing"))
    if available.get("status") == "True":
        done = progressing.get("reason") == "NewReplicaSetAvailable"
        text = {"reason": progressing["reason"], "message": progressing["message"]} if done else {}
        return Condition("PredictorReady", status="True", **text)
    if view.choice is not None and not _command(view.deployment):
        message = f"{view.choice.runtime['kind']} {view.choice.name} has no annotation {runtimes.COMMAND}"
        message += ": this engine runs processes, not containers, and the annotation says which"
        return Condition("PredictorReady", status="False", reason=_NO_COMMAND, message=message)
    if failure and failure.message and not failure.is_initial:
        return Condition("PredictorReady", status="False", reason=_MODEL_LOAD_FAILED, message=failure.message)
    if available:
        return Condition("PredictorReady", status="False", reason=available["reason"], message=available["message"])
    return Condition("PredictorReady")


def _command(deployment: Object) -> str:
    return runtimes.command_of(deployment["spec"]["template"]["metadata"].get("annotations"))


def _ingress(isvc: Object, view: View, predictor: Condition) -> Condition:
    """IngressReady follows the parents of both routes."""
    name = isvc["metadata"]["name"]
    for label, route_name in (("Predictor", service_name(name)), ("TopLevel", name)):
        route = view.routes.get(route_name)
        if route is None:
            reason, message = "Predictor Deployment NotReady", f"{label} HTTPRoute not created"
            return Condition("IngressReady", status="False", reason=reason, message=message)
        parents = (route.get("status") or {}).get("parents") or ()
        if not parents:
            message = f"{label} HTTPRoute has no status of its Gateway yet"
            return Condition("IngressReady", status="False", reason="ParentStatusNotAvailable", message=message)
        for entry in (entry for parent in parents for entry in parent["conditions"]):
            if entry["status"] == "False":
                message = f"{label} {entry['message']}"
                return Condition("IngressReady", status="False", reason=entry["reason"], message=message)
    return Condition("IngressReady", status="True")


def _ready(ingress: Condition, predictor: Condition) -> Condition:
    """Ready repeats the first part that fails."""
    for status in ("False", "Unknown"):
        if found := next((part for part in (ingress, predictor) if part.status == status), None):
            return Condition("Ready", status=status, reason=found.reason, message=found.message)
    return Condition("Ready", status="True")


def _addresses(isvc: Object, view: View) -> Object:
    name, namespace = isvc["metadata"]["name"], isvc["metadata"]["namespace"]
    predictor = view.deployment["metadata"]["name"]
    return {
        "url": f"http://{view.hosts[name]}",
        "address": {"url": f"http://{predictor}.{namespace}.svc.cluster.local"},
        # After a promotion this carries the new name, which no route serves: so it is in KServe.
        "components": {"predictor": {"url": f"http://{predictor}-{namespace}.{view.domain}"}},
    }


def _runtime_name(choice: runtimes.Choice | None) -> Object:
    if choice is None:
        return {}
    return {"clusterServingRuntimeName" if choice.is_cluster_wide else "servingRuntimeName": choice.name}


def _model_status(before: Object, view: View, failure: Failure | None, *, is_ready: bool) -> Object:
    """modelStatus as KServe fills it; `lastFailureInfo` stays after a success, as it does there."""
    active = (before.get("states") or {}).get("activeModelState", "")
    kept = {"lastFailureInfo": before["lastFailureInfo"]} if "lastFailureInfo" in before else {}
    if failure is not None:
        copies = before.get("copies") if active else None
        return _states("FailedToLoad", active, "BlockedByFailedLoad", copies=copies, lastFailureInfo=failure.to_dict())
    if is_ready and view.pods:
        copies = {"failedCopies": 0, "totalCopies": len(view.pods)}
        return _states("Loaded", "Loaded", "UpToDate", copies=copies, **kept)
    is_loading = any(_container(pod).get("state", {}).get("running") for pod in view.pods)
    state = "Loading" if is_loading and not active else "Pending"
    return _states(state, active, "InProgress", copies=before.get("copies") if active else None, **kept)


def _states(target: str, active: str, transition: str, *, copies: Object | None, **more: Object) -> Object:
    return {
        **more,
        "copies": copies or {"failedCopies": 0},
        "states": {"activeModelState": active, "targetModelState": target},
        "transitionStatus": transition,
    }


def _failure(pods: Sequence[Object], *, has_served: bool) -> Failure | None:
    """What keeps the newest pod from coming up, if it has come down.

    One that never served has failed from its first end until it is ready; one that did is given its restart.
    """
    if not pods:
        return None
    status = pods[0].get("status") or {}
    for entry, is_initial in (
        *((entry, True) for entry in status.get("initContainerStatuses") or ()),
        (_container(pods[0]), False),
    ):
        if entry.get("ready"):
            continue
        ended = _ended(entry, has_served=has_served)
        if ended is not None and ended.get("exitCode", 0) != 0:
            return Failure(exit_code=ended["exitCode"], message=ended.get("message", ""), is_initial=is_initial)
    return None


def _ended(entry: Object, *, has_served: bool) -> Object | None:
    """The end that a container has come to, or has come back from in vain."""
    state, last = entry.get("state") or {}, entry.get("lastState") or {}
    if "terminated" in state:
        found: Object = state["terminated"]
        return found
    is_looping = (state.get("waiting") or {}).get("reason") == "CrashLoopBackOff"
    return last.get("terminated") if is_looping or not has_served else None


def _container(pod: Object) -> Object:
    statuses: list[Object] = (pod.get("status") or {}).get("containerStatuses") or [{}]
    return statuses[0]
