"""In-memory twins of the API server and the ledger, as far as the controller uses them."""

from __future__ import annotations

import copy
import random
from importlib import resources
from typing import Any

import jsonschema_rs
import yaml

from turnout.controller.observing import World
from turnout.controller.rollout import Rollout
from turnout.errors import Conflict, NotFound, Unavailable

_CRD = yaml.safe_load((resources.files("turnout.kube") / "crd" / "turnouts.yaml").read_text())
_SCHEMA = _CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
_STATUS = jsonschema_rs.validator_for(_SCHEMA["properties"]["status"])


def inferenceservice(name: str, *, ready: bool = True) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    metadata = {"name": name, "namespace": "default", "resourceVersion": "1"}
    return {"kind": "InferenceService", "metadata": metadata, "status": {"conditions": conditions}}


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

    def _fail(self, verb: str, kind: str) -> None:
        if error := self.broken.pop(f"{verb} {kind}", None):
            raise error

    def apply(self, obj: dict[str, Any], *, manager: str) -> dict[str, Any]:
        return self._store(obj)

    def _store(self, obj: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        kept = copy.deepcopy(obj)
        kept["metadata"]["resourceVersion"] = str(self._version)
        self.objects[obj["kind"], obj["metadata"]["name"]] = kept
        return kept

    def get(self, kind: str, name: str, *, namespace: str) -> dict[str, Any]:
        if (kind, name) not in self.objects:
            raise NotFound(name)
        return copy.deepcopy(self.objects[kind, name])

    def patch(
        self, kind: str, name: str, *, namespace: str, body: dict[str, Any], status: bool = False
    ) -> dict[str, Any]:
        self._fail("patch", kind)
        obj = self.versions.get(name) if kind == "InferenceService" else self.objects.get((kind, name))
        if obj is None:
            raise NotFound(name)
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted and obj["metadata"].get("resourceVersion") != wanted:
            raise Conflict("somebody was faster")
        _merge(obj, body)
        if kind == "Turnout":
            _STATUS.validate(obj.get("status", {}))
        if not status:
            self._version += 1
            obj["metadata"]["resourceVersion"] = str(self._version)
        return obj

    def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        self._fail("create", obj["kind"])
        if obj["kind"] == "Event":
            if any(e["metadata"]["name"] == obj["metadata"]["name"] for e in self.events):
                raise Conflict("exists")
            self.events.append(obj)
            return obj
        if (obj["kind"], obj["metadata"]["name"]) in self.objects:
            raise Conflict("exists")
        return self._store(obj)

    def delete(self, kind: str, name: str, *, namespace: str) -> None:
        self.objects.pop((kind, name), None)
        if kind == "InferenceService":
            self.deleted.append(name)
            self.versions.pop(name, None)

    @property
    def route(self) -> dict[str, Any]:
        return self.objects["HTTPRoute", "digits-turnout"]

    @property
    def weights(self) -> dict[str, int]:
        """Of those who get requests."""
        return {version: weight for version, weight in self.seats if weight}

    @property
    def seats(self) -> list[tuple[str, int]]:
        """All backends of the route."""
        backends = self.route["spec"]["rules"][0]["backendRefs"]
        return [(b["name"].removesuffix("-predictor"), b["weight"]) for b in backends]

    def world(self, *, now_us: int) -> World:
        objects = self.objects.items()
        return World(
            turnouts=[obj for (kind, _), obj in objects if kind == "Turnout"],
            versions={("default", name): obj for name, obj in self.versions.items()},
            routes={("default", name): copy.deepcopy(obj) for (kind, name), obj in objects if kind == "HTTPRoute"},
            policies={("default", name): obj for (kind, name), obj in objects if kind == "BackendTrafficPolicy"},
            domain="localhost",
            now_us=now_us,
        )


def _merge(obj: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            obj.pop(key, None)
        elif isinstance(value, dict):
            _merge(obj.setdefault(key, {}), value)
        else:
            obj[key] = copy.deepcopy(value)


class FakeLedger:
    """State with compare-and-set, audit rows, and evidence that tests produce by `answer`. `away` makes it fail."""

    def __init__(self) -> None:
        self.generation = 0
        self.saved: dict[str, Any] | None = None
        self.audit: list[dict[str, Any]] = []
        self.units: list[dict[str, Any]] = []
        self.waiting_for: list[str] = []
        self.watermark_us: int | None = None
        self.now_us = 0
        self.away = False
        self.requests: list[dict[str, Any]] = []
        self.homeless: list[dict[str, Any]] = []
        self.shadow_pairs: list[dict[str, Any]] = []

    def state(self, turnout: str, *, namespace: str) -> dict[str, Any]:
        if self.away:
            raise Unavailable("the ledger does not answer")
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
        return [row["action"] for row in self.audit if row["action"] not in ("weights", "alias")]

    @property
    def revs(self) -> dict[str, dict[str, int]]:
        return {row["data"]["rev"]: row["data"]["weights"] for row in self.audit if row["action"] == "weights"}

    def answer(self, n: int, *, right: dict[str, float], draw: random.Random) -> None:
        """Answer n requests under the newest weights; `right` is each version's chance of being right."""
        rev, weights = list(self.revs.items())[-1]
        for _ in range(n):
            version = draw.choices(list(weights), list(weights.values()))[0]
            y = float(draw.random() < right[version])
            self.units.append(
                {"id": f"p{len(self.units)}", "time_us": self.now_us, "version": version, "rev": rev, "y": y}
            )

    def evidence(
        self,
        turnout: str,
        *,
        namespace: str,
        champion: str,
        challenger: str,
        kind: str,
        host: str,
        cursor: str | None,
        since_us: int | None,
        window_us: int,
        limit: int,
    ) -> dict[str, Any]:
        start = int(cursor or 0)
        page = (self.units if kind == "predictions" else self.requests)[start : start + limit]
        units = [unit for unit in page if unit["version"] in (champion, challenger)]
        return {
            "units": units,
            "cursor": str(start + len(page)),
            "more": start + len(page) < len(self.units) and kind == "predictions",
            "waiting_for": self.waiting_for,
            "homeless": self.homeless if kind == "gateway" and not int(cursor or 0) else [],
            "watermark_us": self.now_us if self.watermark_us is None else self.watermark_us,
            "revs": self.revs,
        }

    def pairs(self, turnout: str, **asked: Any) -> dict[str, Any]:
        start = int(asked["cursor"] or 0)
        return {"pairs": self.shadow_pairs[start:], "cursor": str(len(self.shadow_pairs)), "more": False}


class FakeAliases:
    """MLflow that obeys at once."""

    def follow(self, key: str, rollout: Rollout) -> tuple[str | None, str | None] | None:
        wanted = (rollout.champion, rollout.challenger)
        return None if rollout.champion is None or rollout.aliases == wanted else wanted


class FakeGateway:
    """Keeps users on the first letter of their name, or draws anew when it is not `sticky`."""

    def __init__(self) -> None:
        self.sticky = True
        self._count = 0

    def side(self, host: str, header: str, user: str) -> str | None:
        self._count += 1
        return ("left", "right")[(int(user[0], 16) if self.sticky else self._count) % 2]
