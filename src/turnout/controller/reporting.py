"""What people see: status, conditions and events, in sentences."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnout.controller.decision import Decision
from turnout.controller.rollout import Rollout
from turnout.errors import NotFound
from turnout.kube.client import Kube

__all__ = ["Seen", "refuse", "report"]

_REASONS = {
    "adopt": "Adopted",
    "start": "ChallengeStarted",
    "step": "ShareRaised",
    "verdict": "VerdictPromote",
    "promote": "Promoted",
    "rollback": "RolledBack",
    "hold": "Held",
    "expire": "Expired",
    "withdraw": "Withdrawn",
    "revert": "Reverted",
    "baked": "Baked",
}
_WARNINGS = {"rollback", "revert", "expire", "hold"}


@dataclass(frozen=True)
class Seen:
    """What the report needs beside the rollout."""

    host: str
    ready: frozenset[str]
    challengers: tuple[str, ...]
    waiting_for: tuple[str, ...]
    alarms: tuple[str, ...]
    route_in_sync: bool
    evidence: Mapping[str, Any] | None


def report(kube: Kube, turnout: Mapping[str, Any], rollout: Rollout, decisions: Sequence[Decision], seen: Seen) -> None:
    """Write the status when it changed, and one Event per decision."""
    share = rollout.weights.get(rollout.challenger, 0) if rollout.challenger else 0
    status = {
        "url": f"http://{seen.host}",
        "champion": rollout.champion,
        "challenger": rollout.challenger,
        "share": share if rollout.challenger else None,
        "phase": rollout.phase,
        "step": rollout.step if rollout.challenger else None,
        "rev": rollout.rev or None,
        "weights": dict(rollout.weights),
        "queue": [v for v in seen.challengers if v not in rollout.judged and v not in rollout.served],
        "judged": dict(rollout.judged),
        "verdict": _rounded(rollout.verdict or (seen.evidence and {"verdict": "hold", **seen.evidence})),
    }
    _write(kube, turnout, status, _conditions(rollout, seen))
    for made in decisions:
        _event(kube, turnout, _REASONS[made.action], made.sentence, warning=made.action in _WARNINGS)


def refuse(kube: Kube, turnout: Mapping[str, Any], *, reason: str, message: str) -> None:
    """Say that this Turnout is not acted upon; what it serves stays as it is."""
    _write(kube, turnout, {}, [("Ready", False, reason, message)])


def _conditions(rollout: Rollout, seen: Seen) -> list[tuple[str, bool, str, str]]:
    return [_ready(rollout, seen), _evidence(rollout, seen), _progress(rollout, seen)]


def _ready(rollout: Rollout, seen: Seen) -> tuple[str, bool, str, str]:
    if rollout.champion is None:
        wanted = ", ".join(seen.challengers) or "none is named in spec.challengers"
        return (
            "Ready",
            False,
            "NoChampion",
            f"no version is ready to become the first champion (waiting for: {wanted})",
        )
    if rollout.champion not in seen.ready:
        return ("Ready", False, "ChampionNotReady", f"InferenceService {rollout.champion} is not Ready")
    return ("Ready", True, "Serving", f"{rollout.champion} owns {seen.host}")


def _evidence(rollout: Rollout, seen: Seen) -> tuple[str, bool, str, str]:
    if not seen.route_in_sync:
        return ("EvidenceValid", False, "RouteChanged", "the route was changed by somebody else and has been restored")
    if seen.alarms:
        return ("EvidenceValid", False, seen.alarms[0].split(":", 1)[0], "; ".join(seen.alarms))
    if seen.waiting_for:
        return ("EvidenceValid", False, "WaitingForLogs", f"no word from the logs of {', '.join(seen.waiting_for)}")
    return ("EvidenceValid", True, "AsDesigned", "assignments and labels arrive as the test needs them")


def _progress(rollout: Rollout, seen: Seen) -> tuple[str, bool, str, str]:
    if rollout.phase == "Held":
        return ("Progressing", False, "Held", rollout.held)
    if rollout.challenger and rollout.challenger not in seen.ready:
        return ("Progressing", False, "ChallengerNotReady", f"InferenceService {rollout.challenger} is not Ready")
    if rollout.challenger:
        what = "the verdict is promote, the share walks its steps" if rollout.earned else _so_far(rollout, seen)
        return ("Progressing", True, "UnderTest", f"{rollout.challenger} against {rollout.champion}: {what}")
    if rollout.phase == "Baking":
        return ("Progressing", True, "Baking", f"{rollout.champion} was promoted; late labels can still revert it")
    return ("Progressing", False, "NothingToDo", "no challenger")


def _so_far(rollout: Rollout, seen: Seen) -> str:
    """Why nothing is decided yet: most often, because labels are missing."""
    units = seen.evidence["units"] if seen.evidence else {"challenger": 0}
    return (
        f"not decided yet, {rollout.step_labels} labels of the challenger in this step, "
        f"{units['challenger']} of its predictions have been judged or passed the label window"
    )


def _write(
    kube: Kube, turnout: Mapping[str, Any], fields: Mapping[str, Any], found: Sequence[tuple[str, bool, str, str]]
) -> None:
    metadata, old = turnout["metadata"], dict(turnout.get("status") or {})
    conditions = {c["type"]: c for c in old.get("conditions") or []}
    for name, holds, reason, message in found:
        conditions[name] = _condition(conditions.get(name), name, holds, reason, message, metadata["generation"])
    status = {**fields, "observedGeneration": metadata["generation"], "conditions": list(conditions.values())}
    # Mappings are replaced as a whole: in a merge patch a key that is left out would stay.
    patch = {key: value for key, value in status.items() if old.get(key) != value}
    for key in ("weights", "judged", "verdict"):
        if isinstance(patch.get(key), dict) and isinstance(old.get(key), dict):
            patch[key] = {**dict.fromkeys(old[key]), **patch[key]}
    if not patch:
        return
    try:
        kube.patch("Turnout", metadata["name"], namespace=metadata["namespace"], body={"status": patch}, status=True)
    except NotFound:
        return  # deleted meanwhile: there is nobody left to tell


def _condition(
    old: Mapping[str, Any] | None, name: str, holds: bool, reason: str, message: str, generation: int
) -> dict[str, Any]:
    status = "True" if holds else "False"
    since = old["lastTransitionTime"] if old and old.get("status") == status else _now()
    return {
        "type": name,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }


def _event(kube: Kube, turnout: Mapping[str, Any], reason: str, message: str, *, warning: bool) -> None:
    metadata, now = turnout["metadata"], _now()
    kube.create(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata['name']}.{secrets.token_hex(8)}", "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": turnout["apiVersion"],
                "kind": "Turnout",
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message,
            "source": {"component": "turnout-controller"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
    )


def _rounded(value: Any) -> Any:
    """Numbers for people: four significant digits are enough in a status."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
