"""Applies, patches, promotes and deletes objects in random order, and knows what must be there at the end."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos import objects
from tests.chaos.objects import Model
from turnout.errors import Conflict, Failed, NotFound, Unavailable
from turnout.kube import client

__all__ = ["Operator"]

Object = dict[str, Any]

_PATIENCE_S = 90.0
_NAMESPACE = "default"
_PASSERS_BY = 2  # besides the two versions that are always there


class Operator:
    """One user with a kubeconfig. Every request is tried again until the API has answered it."""

    def __init__(self, kubeconfig: Path, model: Model, places: list[str], *, seed: int) -> None:
        self._kubeconfig, self._model, self._places = kubeconfig, model, places
        self._random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.expected: dict[tuple[str, str], Object] = {}
        self._number = 0
        self._weights: dict[str, int] = {"red": 50, "blue": 50}
        self._fig = {"name": "", "place": self._places[0], "canary": ""}

    def prepare(self) -> None:
        """What is there before the load begins."""
        for name in ("red", "blue"):
            self._apply(objects.inference_service(name, self._places[0], self._model, replicas=2))
        self._apply(objects.inference_service("fig", self._places[0], self._model, replicas=3))
        for name in ("red", "blue", "fig"):
            self._wait_ready(name)
        self._apply(objects.route(self._weights))

    def act(self) -> None:
        """One action of a user, drawn at random."""
        actions: list[Callable[[], None]] = [
            self._shift_weights,
            self._shift_weights,
            self._scale,
            self._change_template,
            self._bring_version,
            self._retire_version,
            self._move_canary,
            self._move_canary,
        ]
        action = self._random.choice(actions)
        action()

    def lost(self) -> list[str]:
        """What differs from what was asked for, when nothing changes any more."""
        found = {
            (kind, obj["metadata"]["name"]): obj
            for kind in ("InferenceService", "HTTPRoute")
            for obj in self._call(lambda kube, kind=kind: kube.list(kind, namespace=_NAMESPACE))  # type: ignore[misc]
            if not obj["metadata"].get("ownerReferences")
        }
        missing = [f"{'/'.join(key)} is lost" for key in self.expected if key not in found]
        extra = [f"{'/'.join(key)} was deleted and is there" for key in found if key not in self.expected]
        changed = [
            f"{'/'.join(key)}: {difference}"
            for key, wanted in self.expected.items()
            if key in found and (difference := _difference(wanted["spec"], found[key]["spec"]))
        ]
        return [*missing, *extra, *changed]

    def wait_quiet(self) -> None:
        """Wait until all that is there is ready."""
        for kind, name in list(self.expected):
            if kind == "InferenceService":
                self._wait_ready(name)

    def pods(self) -> list[str]:
        """Pods that are meant to run."""
        found: list[Object] = self._call(lambda kube: kube.list("Pod", namespace=_NAMESPACE))
        return [pod["metadata"]["name"] for pod in found]

    # Actions

    def _shift_weights(self) -> None:
        names = list(self._weights)
        for name in names:
            self._weights[name] = self._random.randrange(0, 100)
        self._weights[self._random.choice(names)] = 100
        self._apply(objects.route(self._weights))
        self.done["weights"] += 1

    def _scale(self) -> None:
        name = self._random.choice(["red", "blue"])
        self._patch(name, {"predictor": {"minReplicas": self._random.choice([2, 3])}})
        self.done["scale"] += 1

    def _change_template(self) -> None:
        """A rolling update: every process of a version is replaced."""
        name = self._random.choice(["red", "blue"])
        self._patch(name, {"predictor": {"model": {"env": [{"name": "ROUND", "value": str(self._next())}]}}})
        self.done["rolling update"] += 1

    def _bring_version(self) -> None:
        """A new version, behind the endpoint as soon as it is ready."""
        if len(self._weights) >= 2 + _PASSERS_BY:
            return
        name = f"v{self._next()}"
        self._apply(objects.inference_service(name, self._random.choice(self._places), self._model, replicas=1))
        self._wait_ready(name)
        self._weights[name] = self._random.randrange(1, 50)
        self._apply(objects.route(self._weights))
        self.done["apply"] += 1

    def _retire_version(self) -> None:
        """Weight to 0, out of the route, then away: the order that design.md prescribes."""
        passing = [name for name in self._weights if name not in ("red", "blue")]
        if not passing:
            return
        name = self._random.choice(passing)
        self._weights[name] = 0
        self._weights["red"] = max(1, self._weights["red"])
        self._apply(objects.route(self._weights))
        self._wait_taken()
        del self._weights[name]
        self._apply(objects.route(self._weights))
        self._wait_taken()
        self._delete("InferenceService", name)
        self.done["delete"] += 1

    def _move_canary(self) -> None:
        """KServe's canary: begin one, promote it, or take it back."""
        if not self._fig["canary"]:
            name, place = f"c{self._next()}", self._random.choice([p for p in self._places if p != self._fig["place"]])
            fields = {**self._model.fields, "storageUri": place}
            canary = {"name": name, "minReplicas": 1, "model": fields}
            self._patch("fig", {"canary": [{"trafficPercent": self._random.choice([10, 50]), "predictor": canary}]})
            self._fig |= {"canary": name, "next": place}
            self.done["canary"] += 1
            if self._random.random() < 0.5:  # else it is promoted or taken back before it serves
                self._until(_has_ready_canary, f"canary {name} ready")
        elif self._random.random() < 0.6:
            promoted = {"name": self._fig["canary"], "model": {"storageUri": self._fig["next"]}}
            self._patch("fig", {"predictor": promoted, "canary": None})
            self._fig |= {"name": self._fig["canary"], "place": self._fig["next"], "canary": ""}
            self.done["promote"] += 1
        else:
            self._patch("fig", {"canary": None})
            self._fig["canary"] = ""
            self.done["roll back"] += 1

    # Requests

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _apply(self, obj: Object) -> None:
        self._call(lambda kube: kube.apply(obj))
        self.expected[(obj["kind"], obj["metadata"]["name"])] = obj

    def _patch(self, name: str, spec: Object) -> None:
        self._call(lambda kube: kube.patch("InferenceService", name, namespace=_NAMESPACE, body={"spec": spec}))
        known = self.expected[("InferenceService", name)]
        known["spec"] = _merged(known["spec"], spec)

    def _delete(self, kind: str, name: str) -> None:
        def delete(kube: client.Kube) -> None:
            try:
                kube.delete(kind, name, namespace=_NAMESPACE)
            except NotFound:  # an earlier try did it, whose answer got lost
                return

        self._call(delete)
        del self.expected[(kind, name)]
        self._until(lambda kube: _is_gone(kube, kind, name), f"{kind} {name} gone")

    def _wait_ready(self, name: str) -> None:
        self._until(lambda kube: _is_ready(kube.get("InferenceService", name, namespace=_NAMESPACE)), f"{name} ready")

    def _wait_taken(self) -> None:
        """Until the gateway has the route as it stands now."""
        self._until(lambda kube: _is_taken(kube.get("HTTPRoute", "chaos", namespace=_NAMESPACE)), "route taken")

    def _until(self, holds: Callable[[client.Kube], bool], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not self._call(holds):
            if time.monotonic() > deadline:
                raise Failed(f"in vain for {_PATIENCE_S} s: {what}")
            time.sleep(0.05)

    def _call(self, request: Callable[[client.Kube], Any]) -> Any:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return request(client.connect(self._kubeconfig))
            except (Unavailable, Conflict):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def _is_ready(isvc: Object) -> bool:
    """Its own word; KServe's observedGeneration is the Deployment's and says nothing of the newest spec."""
    conditions = {entry["type"]: entry["status"] for entry in (isvc.get("status") or {}).get("conditions") or ()}
    return conditions.get("Ready") == "True"


def _has_ready_canary(kube: client.Kube) -> bool:
    status = kube.get("InferenceService", "fig", namespace=_NAMESPACE).get("status") or {}
    return any(entry["ready"] for entry in status.get("canaryStatuses") or ())


def _is_taken(route: Object) -> bool:
    seen = [
        entry["observedGeneration"]
        for parent in (route.get("status") or {}).get("parents") or ()
        for entry in parent["conditions"]
    ]
    return bool(seen) and all(generation == route["metadata"]["generation"] for generation in seen)


def _is_gone(kube: client.Kube, kind: str, name: str) -> bool:
    try:
        kube.get(kind, name, namespace=_NAMESPACE)
    except NotFound:
        return True
    return False


def _merged(base: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(base, dict) or not isinstance(patch, dict):
        return patch
    found = {key: value for key, value in base.items() if patch.get(key, value) is not None}
    return found | {key: _merged(base.get(key), value) for key, value in patch.items() if value is not None}


def _difference(wanted: Any, found: Any, at: str = "spec") -> str:
    """The first place where something asked for is not there; what servers add is no difference."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return next((text for key in wanted if (text := _difference(wanted[key], found.get(key), f"{at}.{key}"))), "")
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return next((text for i, (w, f) in pairs if (text := _difference(w, f, f"{at}[{i}]"))), "")
    return "" if wanted == found else f"{at}: wanted {wanted!r}, found {found!r}"
