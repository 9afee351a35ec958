"""The predictors of an InferenceService: the stable one, and the canaries of `spec.canary`. KServe's rules; pure.

A canary inherits what it does not say from the stable predictor. The stable predictor may carry a name: promotion is
one update that gives it the canary's name and model, and the processes of that name go on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turnout.kube.inferenceservices import service_name

__all__ = ["Variant", "canaries", "inherited", "replicas", "stable", "stable_replicas"]

Object = dict[str, Any]

_AUTOSCALER = "serving.kserve.io/autoscalerClass"


@dataclass(frozen=True)
class Variant:
    """One predictor; `percent` is None for the stable one. `predictor` is complete: what it inherits is in it."""

    isvc: str
    predictor: Object
    percent: int | None = None

    @property
    def name(self) -> str:
        """Its name; the stable one may have none."""
        return str(self.predictor.get("name") or "")

    @property
    def workload(self) -> str:
        """The name of its Deployment and Service."""
        return service_name(f"{self.isvc}-{self.name}" if self.name else self.isvc)


def stable(isvc: Object) -> Variant:
    """The predictor that gets what no canary gets."""
    return Variant(isvc=isvc["metadata"]["name"], predictor=isvc["spec"]["predictor"])


def canaries(isvc: Object) -> list[Variant]:
    """The canaries in the order of the spec."""
    base = isvc["spec"]["predictor"]
    return [
        Variant(
            isvc=isvc["metadata"]["name"],
            predictor=inherited(base, canary["predictor"]),
            percent=int(canary.get("trafficPercent") or 0),
        )
        for canary in isvc["spec"].get("canary") or ()
    ]


def inherited(base: Any, own: Any) -> Any:
    """What a canary says over what the stable predictor says: mappings merge, lists and values replace.

    An empty value says nothing, a zero that was written does (`minReplicas: 0`).
    """
    if not isinstance(base, dict) or not isinstance(own, dict):
        return base if own in ("", [], {}, None) else own
    return {**base, **{key: inherited(base[key], value) if key in base else value for key, value in own.items()}}


def replicas(isvc: Object, canary: Object) -> int:
    """How many processes a canary of the spec gets: as many as it says, else its share of the stable one's."""
    own = canary["predictor"].get("minReplicas")
    least = isvc["spec"]["predictor"].get("minReplicas")
    share = math.ceil((1 if least is None else least) * (canary.get("trafficPercent") or 0) / 100)
    return _at_least(isvc, share if own is None else own)


def stable_replicas(isvc: Object, ready: Sequence[int]) -> int:
    """How many the stable predictor gets; `ready` are the processes of each ready canary, which stand in for some."""
    wanted = isvc["spec"]["predictor"].get("minReplicas")
    if wanted is None:
        return 1
    return _at_least(isvc, max(wanted - sum(ready), 1) if ready else wanted)


def _at_least(isvc: Object, wanted: int) -> int:
    """An autoscaler, KServe's default, never goes to zero."""
    scaler = (isvc["metadata"].get("annotations") or {}).get(_AUTOSCALER, "hpa")
    return int(wanted) if scaler in ("none", "external") else max(1, int(wanted))
