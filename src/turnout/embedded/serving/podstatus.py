"""A pod's status, from what became of its process. Pure; Kubernetes' fields and words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from turnout.embedded import objects
from turnout.embedded.supervision.processes import Phase, State

__all__ = ["Life", "exit_code", "failed_initializer", "initializing", "moment", "render", "waiting"]

Object = dict[str, Any]

_UNKNOWN_EXIT = 137  # what Kubernetes says of a container that ended unseen


@dataclass(frozen=True)
class Life:
    """A process as its pod shows it. `last_words` is the last line that the ended one wrote."""

    state: State
    is_ready: bool
    last_words: str = ""


def render(pod: Object, life: Life) -> Object:
    """The status of a pod that has, or had, a process."""
    container = _container(pod, life)
    return _status(pod, container, phase="Running", initialized=True, started_at=moment(life.state.started_at))


def waiting(pod: Object, *, reason: str, message: str) -> Object:
    """The status of a pod that cannot start at all."""
    container = {**_blank(pod), "state": {"waiting": {"reason": reason, "message": message}}}
    return _status(pod, container, phase="Pending", initialized=True, started_at="")


def initializing(pod: Object) -> Object:
    """The status of a pod whose model is being brought."""
    container = {**_blank(pod), "state": {"waiting": {"reason": "PodInitializing"}}}
    status = _status(pod, container, phase="Pending", initialized=False, started_at="")
    before = ((pod.get("status") or {}).get("initContainerStatuses") or [{}])[0]
    attempts, ended = before.get("restartCount", 0), before.get("state", {}).get("terminated")
    initializer = {
        **_initializer(pod),
        "ready": False,
        "restartCount": attempts,
        "state": {"running": {"startedAt": status["startTime"]}},
        "lastState": {"terminated": ended} if ended else before.get("lastState", {}),
    }
    return {**status, "initContainerStatuses": [initializer]}


def failed_initializer(pod: Object, *, message: str, attempts: int) -> Object:
    """The status of a pod whose model is not where its storageUri says."""
    end = {"exitCode": 1, "reason": "Error", "message": message}
    container = {**_blank(pod), "state": {"waiting": {"reason": "PodInitializing"}}}
    status = _status(pod, container, phase="Pending", initialized=False, started_at="")
    loop = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
    initializer = {
        **_initializer(pod),
        "ready": False,
        "restartCount": attempts,
        "state": loop if attempts else {"terminated": end},
        "lastState": {"terminated": end} if attempts else {},
    }
    return {**status, "initContainerStatuses": [initializer]}


def exit_code(state: State) -> int:
    """As a container's: signals are counted from 128."""
    if state.exit_code is None:
        return _UNKNOWN_EXIT
    return 128 - state.exit_code if state.exit_code < 0 else state.exit_code


def moment(seconds: float) -> str:
    """An instant as Kubernetes writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _container(pod: Object, life: Life) -> Object:
    state = life.state
    ended = {"exitCode": exit_code(state), "reason": "Completed" if state.exit_code == 0 else "Error"}
    if life.last_words:
        ended["message"] = life.last_words
    is_running = state.phase != Phase.BACKOFF
    restarts = state.restarts
    loop = {
        "reason": "CrashLoopBackOff",
        "message": f"back-off restarting failed container in pod {pod['metadata']['name']}",
    }
    has_ended = restarts > 0 or not is_running
    return {
        **_blank(pod),
        "ready": life.is_ready and is_running,
        "started": life.is_ready and is_running,
        "restartCount": restarts,
        "containerID": f"process://{state.pid}" if is_running else "",
        "state": {"running": {"startedAt": moment(state.started_at)}} if is_running else {"waiting": loop},
        "lastState": {"terminated": ended} if has_ended else {},
    }


def _blank(pod: Object) -> Object:
    container = pod["spec"]["containers"][0]
    return {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": "",
        "ready": False,
        "started": False,
        "restartCount": 0,
        "lastState": {},
    }


def _initializer(pod: Object) -> Object:
    container = pod["spec"]["initContainers"][0]
    return {"name": container["name"], "image": container["image"], "imageID": ""}


def _status(pod: Object, container: Object, *, phase: str, initialized: bool, started_at: str) -> Object:
    before = pod.get("status") or {}
    flags = {
        "PodReadyToStartContainers": True,
        "Initialized": initialized,
        "Ready": container["ready"],
        "ContainersReady": container["ready"],
        "PodScheduled": True,
    }
    status = {
        "phase": phase,
        "qosClass": "Burstable",
        "hostIP": "127.0.0.1",
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "startTime": before.get("startTime") or pod["metadata"].get("creationTimestamp") or started_at,
        "conditions": _conditions(flags, before.get("conditions") or []),
        "containerStatuses": [container],
    }
    if initialized and "initContainers" in pod["spec"]:
        done = {"terminated": {"exitCode": 0, "reason": "Completed"}}
        status["initContainerStatuses"] = [
            {**_initializer(pod), "ready": True, "restartCount": 0, "state": done, "lastState": {}}
        ]
    return status


def _conditions(flags: dict[str, bool], before: list[Object]) -> list[Object]:
    old = {entry["type"]: entry for entry in before}
    found = []
    for name, holds in flags.items():
        was = old.get(name, {})
        same = was.get("status") == str(holds)
        text = {} if holds else {"reason": "ContainersNotReady" if "Ready" in name else "ContainersNotInitialized"}
        found.append(
            {
                "type": name,
                "status": str(holds),
                "lastProbeTime": None,
                "lastTransitionTime": was["lastTransitionTime"] if same else objects.now(),
                **text,
            }
        )
    return found
