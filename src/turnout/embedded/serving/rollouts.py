"""How a Deployment's pods change: which to make, which to end. Kubernetes' rolling update, as a pure function.

New pods first, old ones only as new ones become ready: with the defaults of 25 % no ready pod is given up below four
replicas, so a change of the model costs no request.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turnout.kube.inferenceservices import condition

__all__ = ["HASH", "Step", "is_pod_ready", "next_step", "status"]

Object = dict[str, Any]

HASH = "pod-template-hash"

_SHARE = 0.25  # maxSurge and maxUnavailable, as KServe leaves them


@dataclass(frozen=True)
class Step:
    """What to do now; the next step follows when the pods have changed."""

    create: int
    delete: tuple[str, ...]


def is_pod_ready(pod: Object) -> bool:
    """Whether a pod may get requests."""
    return "deletionTimestamp" not in pod["metadata"] and condition(pod, "Ready").get("status") == "True"


def next_step(pods: Sequence[Object], *, template_hash: str, replicas: int) -> Step:
    """The step from these pods (none of them being deleted) towards `replicas` of the present template."""
    new = [pod for pod in pods if _hash(pod) == template_hash]
    old = [pod for pod in pods if _hash(pod) != template_hash]
    surge, unavailable = math.ceil(replicas * _SHARE), math.floor(replicas * _SHARE)
    create = max(0, min(replicas - len(new), replicas + surge - len(pods)))
    surplus = sorted(new, key=_worth_keeping)[: max(0, len(new) - replicas)]
    spare = (
        sum(is_pod_ready(pod) for pod in pods) - sum(is_pod_ready(pod) for pod in surplus) - (replicas - unavailable)
    )
    idle = [pod for pod in old if not is_pod_ready(pod)]
    serving = sorted((pod for pod in old if is_pod_ready(pod)), key=_worth_keeping)
    leaving = [*surplus, *idle, *serving[: max(0, spare)]]
    return Step(create=create, delete=tuple(pod["metadata"]["name"] for pod in leaving))


def status(deployment: Object, pods: Sequence[Object], *, template_hash: str) -> Object:
    """The Deployment's status, without the times of its conditions."""
    replicas = deployment["spec"]["replicas"]
    updated = [pod for pod in pods if _hash(pod) == template_hash]
    ready = sum(is_pod_ready(pod) for pod in pods)
    counts = {
        "replicas": len(pods),
        "updatedReplicas": len(updated),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "unavailableReplicas": max(0, max(replicas, len(pods)) - ready),
    }
    is_available = ready >= replicas - math.floor(replicas * _SHARE)
    is_complete = len(updated) == len(pods) == replicas and sum(is_pod_ready(pod) for pod in updated) == replicas
    return {
        "observedGeneration": deployment["metadata"]["generation"],
        **{key: value for key, value in counts.items() if value},
        "conditions": [
            _available(is_available),
            _progressing(deployment, template_hash, is_complete=is_complete),
        ],
    }


def _available(is_available: bool) -> Object:
    reason = "MinimumReplicasAvailable" if is_available else "MinimumReplicasUnavailable"
    message = f"Deployment {'has' if is_available else 'does not have'} minimum availability."
    return {"type": "Available", "status": str(is_available), "reason": reason, "message": message}


def _progressing(deployment: Object, template_hash: str, *, is_complete: bool) -> Object:
    """Complete once, it stays so for this template: a pod that is restarted later is no new roll-out."""
    name = f'ReplicaSet "{deployment["metadata"]["name"]}-{template_hash}"'
    done = f"{name} has successfully progressed."
    if is_complete or condition(deployment, "Progressing").get("message") == done:
        return {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": done}
    return {
        "type": "Progressing",
        "status": "True",
        "reason": "ReplicaSetUpdated",
        "message": f"{name} is progressing.",
    }


def _hash(pod: Object) -> str:
    return str(pod["metadata"]["labels"].get(HASH, ""))


def _worth_keeping(pod: Object) -> tuple[bool, str]:
    """Those that are not ready go first, then the older ones."""
    return (is_pod_ready(pod), str(pod["metadata"].get("creationTimestamp", "")))
