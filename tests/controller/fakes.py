"""In-memory twins of the API server and the ledger, as far as the controller uses them."""

from __future__ import annotations

import copy
import random
from typing import Any

from turnout.controller.observing import World
from turnout.errors import Conflict, NotFound


def inferenceservice(name: str, *, ready: bool = True) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": {"name": name, "namespace": "default"}, "status": {"conditions": conditions}}


def turnout(
    *challengers: str, policy: dict[str, Any] | None = None, name: str = "digits", **spec: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "Turnout",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "generation": 1,
            "creationTimestamp": "2026-11-21T10:00:00Z",
        },
        "spec": {"challengers": list(challengers), "policy": policy or {}, **spec},
    }


class FakeKube:
    """Keeps objects by (kind, namespace, name); `broken` makes the next call of that verb fail."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self.broken: dict[str, Exception] = {}
        self.versions = {obj["metadata"]["name"]: obj for obj in objects}
        self._version = 0

    def apply(self, obj: dict[str, Any], *, manager: str) -> dict[str, Any]:
        if error := self.broken.pop("apply", None):
            raise error
        key = (obj["kind"], obj["metadata"]["name"])
        stored = self.objects.get(key)
        wanted = obj["metadata"].get("resourceVersion")
        if stored and wanted and stored["metadata"]["resourceVersion"] != wanted:
            raise Conflict("somebody was faster")
        self._version += 1
        kept = copy.deepcopy(obj)
        kept["metadata"]["resourceVersion"] = str(self._version)
        self.objects[key] = kept
        return kept

    def patch(
        self, kind: str, name: str, *, namespace: str, body: dict[str, Any], status: bool = False
    ) -> dict[str, Any]:
        obj = self.objects.get((kind, name))
        if obj is None:
            raise NotFound(name)
        for key, value in body["status"].items():
            obj.setdefault("status", {})[key] = value
        return obj

    def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        self.events.append(obj)
        return obj

    def delete(self, kind: str, name: str, *, namespace: str) -> None:
        self.deleted.append(name)
        self.versions.pop(name, None)

    @property
    def route(self) -> dict[str, Any]:
        return self.objects["HTTPRoute", "digits-turnout"]

    @property
    def weights(self) -> dict[str, int]:
        return {
            b["name"].removesuffix("-predictor"): b["weight"] for b in self.route["spec"]["rules"][0]["backendRefs"]
        }

    def world(self, *, now_us: int) -> World:
        objects = self.objects.items()
        return World(
            turnouts=[obj for (kind, _), obj in objects if kind == "Turnout"],
            versions={("default", name): obj for name, obj in self.versions.items()},
            routes={("default", name): copy.deepcopy(obj) for (kind, name), obj in objects if kind == "HTTPRoute"},
            domain="localhost",
            now_us=now_us,
        )


class FakeLedger:
    """State with compare-and-set, audit rows, and evidence that tests produce by `answer`."""

    def __init__(self) -> None:
        self.generation = 0
        self.saved: dict[str, Any] | None = None
        self.audit: list[dict[str, Any]] = []
        self.units: list[dict[str, Any]] = []
        self.waiting_for: list[str] = []

    def state(self, turnout: str, *, namespace: str) -> dict[str, Any]:
        return {"generation": self.generation, "state": copy.deepcopy(self.saved)}

    def put_state(
        self, turnout: str, *, namespace: str, if_generation: int, state: dict[str, Any], audit: list[dict[str, Any]]
    ) -> dict[str, Any]:
        if if_generation != self.generation:
            raise Conflict("somebody was faster")
        self.generation += 1
        self.saved = copy.deepcopy(state)
        self.audit += audit
        return {"generation": self.generation, "audit": audit}

    @property
    def actions(self) -> list[str]:
        return [row["action"] for row in self.audit if row["action"] != "weights"]

    @property
    def revs(self) -> dict[str, dict[str, int]]:
        return {row["data"]["rev"]: row["data"]["weights"] for row in self.audit if row["action"] == "weights"}

    def answer(self, n: int, *, right: dict[str, float], draw: random.Random) -> None:
        """Answer n requests under the newest weights; `right` is each version's chance of being right."""
        rev, weights = list(self.revs.items())[-1]
        for _ in range(n):
            version = draw.choices(list(weights), list(weights.values()))[0]
            self.units.append({"version": version, "rev": rev, "y": float(draw.random() < right[version])})

    def evidence(
        self,
        turnout: str,
        *,
        namespace: str,
        champion: str,
        challenger: str,
        kind: str,
        cursor: str | None,
        window_us: int,
        limit: int,
    ) -> dict[str, Any]:
        start = int(cursor or 0)
        page = self.units[start : start + limit] if kind == "predictions" else []
        units = [unit for unit in page if unit["version"] in (champion, challenger)]
        return {
            "units": units,
            "cursor": str(start + len(page)),
            "more": start + len(page) < len(self.units) and kind == "predictions",
            "waiting_for": self.waiting_for,
            "revs": self.revs,
        }
