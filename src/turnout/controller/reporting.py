"""What people see: status and conditions, in sentences."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnout.controller.evidence import Test
from turnout.controller.rollout import Rollout
from turnout.errors import NotFound
from turnout.kube.client import Kube

__all__ = ["Seen", "refuse", "report", "write"]

Condition = tuple[str, bool, str, str]


@dataclass(frozen=True)
class Seen:
    """What the report needs beside the rollout."""

    host: str
    ready: frozenset[str]
    challengers: tuple[str, ...]
    waiting_for: tuple[str, ...]
    tests: Mapping[str, Test]
    frozen: str
    route_in_sync: bool
    sticky: str
    shadows: Sequence[Mapping[str, Any]]
    bad_order: str
    leaving: frozenset[str]
    missing: frozenset[str]
    too_old_after_us: int

    @property
    def alarms(self) -> tuple[str, ...]:
        """Of all tests that are running."""
        raised = [alarm for test in self.tests.values() for alarm in test.alarms]
        if any(0 < test.newest_us < self.too_old_after_us for test in self.tests.values()):
            raised.append("EvidenceTooOld: the newest unit of evidence is older than maxAge")
        return tuple(dict.fromkeys(raised))


def report(kube: Kube, turnout: Mapping[str, Any], rollout: Rollout, seen: Seen) -> None:
    """Write the status when it changed."""
    first = rollout.challenges[0] if rollout.challenges else None
    leading = seen.tests.get(rollout.pairs[0][1]) if rollout.pairs else None
    status = {
        "url": f"http://{seen.host}",
        "champion": rollout.champion,
        "challenger": rollout.challenger,
        "share": rollout.weights.get(first.version, 0) if first else None,
        "phase": rollout.phase,
        "step": first.step if first else None,
        "rev": rollout.rev or None,
        "weights": dict(rollout.weights),
        "queue": [v for v in seen.challengers if v not in rollout.judged and v not in rollout.served],
        "judged": dict(rollout.judged),
        "challenges": [_challenge(rollout, version, seen) for version in (c.version for c in rollout.challenges)],
        "shadows": _rounded(list(seen.shadows)),
        "lastOrder": dict(rollout.last_order),
        "verdict": _rounded(rollout.verdict or (leading and {"verdict": "hold", **leading.summary()})),
    }
    write(kube, turnout, status, _conditions(rollout, seen))


def _challenge(rollout: Rollout, version: str, seen: Seen) -> dict[str, Any]:
    challenge, test = rollout.challenge(version), seen.tests.get(version)
    if challenge is None:
        return {"version": version}
    return {
        "version": version,
        "share": rollout.weights.get(version, 0),
        "step": challenge.step,
        "stepLabels": challenge.step_labels,
        "earned": challenge.earned,
        "held": challenge.held,
        "evidence": _rounded(test.summary()) if test else None,
    }


def refuse(kube: Kube, turnout: Mapping[str, Any], *, reason: str, message: str) -> None:
    """Say that this Turnout is not acted upon; what it serves stays as it is."""
    write(kube, turnout, {}, [("Ready", False, reason, message)])


def _conditions(rollout: Rollout, seen: Seen) -> list[Condition]:
    found = [
        _ready(rollout, seen),
        _evidence(seen),
        _progress(rollout, seen),
        ("LedgerAvailable", True, "Answers", "state and audit can be written"),
    ]
    if seen.sticky:
        found.append(_sticky(rollout, seen))
    if seen.bad_order or rollout.last_order:
        found.append(_order(rollout, seen))
    return found


def _sticky(rollout: Rollout, seen: Seen) -> Condition:
    if rollout.sticky == seen.sticky:
        return ("Sticky", True, "Proved", f"a probe has shown that equal values of {seen.sticky} meet one version")
    if rollout.probed.get("header") == seen.sticky:
        return ("Sticky", False, "NotSticky", f"{rollout.probed['found']}; every request is a unit by itself")
    return ("Sticky", False, "Probing", f"whether the gateway keeps {seen.sticky} on one version is not known yet")


def _order(rollout: Rollout, seen: Seen) -> Condition:
    if seen.bad_order:
        return ("OrderTaken", False, "InvalidOrder", seen.bad_order)
    last = rollout.last_order
    return ("OrderTaken", last["result"] == "done", last["result"].capitalize(), last["message"])


def _ready(rollout: Rollout, seen: Seen) -> Condition:
    if rollout.champion is None:
        wanted = ", ".join(seen.challengers) or "none is named in spec.challengers"
        return (
            "Ready",
            False,
            "NoChampion",
            f"no version is ready to become the first champion (waiting for: {wanted})",
        )
    if rollout.champion in seen.missing:
        told = (
            f"InferenceService {rollout.champion} does not exist, so its share of the requests fails: "
            f"apply it again, or say `turnout rollback` or `turnout promote`"
        )
        return ("Ready", False, "ChampionGone", told)
    if rollout.champion in seen.leaving:
        told = (
            f"InferenceService {rollout.champion} is being deleted, but owns {seen.host}: it serves on until another "
            f"version does, or the Turnout is deleted"
        )
        return ("Ready", True, "ChampionLeaving", told)
    if rollout.champion not in seen.ready:
        return ("Ready", False, "ChampionNotReady", f"InferenceService {rollout.champion} is not Ready")
    return ("Ready", True, "Serving", f"{rollout.champion} owns {seen.host}")


def _evidence(seen: Seen) -> Condition:
    if not seen.route_in_sync:
        return ("EvidenceValid", False, "RouteChanged", "the route was changed by somebody else and has been restored")
    if seen.alarms:
        return ("EvidenceValid", False, seen.alarms[0].split(":", 1)[0], "; ".join(seen.alarms))
    if seen.waiting_for:
        return ("EvidenceValid", False, "WaitingForLogs", f"no word from the logs of {', '.join(seen.waiting_for)}")
    return ("EvidenceValid", True, "AsDesigned", "assignments and labels arrive as the test needs them")


def _progress(rollout: Rollout, seen: Seen) -> Condition:
    if rollout.phase == "Held":
        why = rollout.held or "; ".join(challenge.held for challenge in rollout.challenges)
        return ("Progressing", False, "Held", why)
    missing = [c.version for c in rollout.challenges if c.version not in seen.ready]
    if missing:
        return ("Progressing", False, "ChallengerNotReady", f"InferenceService {', '.join(missing)} is not Ready")
    if seen.frozen and (rollout.challenges or rollout.previous):
        return ("Progressing", False, "Frozen", f"no share is raised: {seen.frozen}")
    if any(challenge.awaits for challenge in rollout.challenges):
        names = ", ".join(c.version for c in rollout.challenges if c.awaits)
        return ("Progressing", False, "AwaitingApproval", f"{names} has earned its promotion; say `turnout promote`")
    if rollout.challenges:
        told = "; ".join(_so_far(rollout, version, seen) for version in (c.version for c in rollout.challenges))
        return ("Progressing", True, "UnderTest", told)
    if rollout.phase == "Baking":
        return ("Progressing", True, "Baking", f"{rollout.champion} was promoted; late labels can still revert it")
    return ("Progressing", False, "NothingToDo", "no challenger")


def _so_far(rollout: Rollout, version: str, seen: Seen) -> str:
    """Why nothing is decided yet: most often, because labels are missing."""
    challenge, test = rollout.challenge(version), seen.tests.get(version)
    head = f"{version} against {rollout.champion}: "
    if challenge is None or challenge.earned:
        return head + "the verdict is promote, the share walks its steps"
    units = test.summary()["units"]["challenger"] if test else 0
    return (
        head + f"not decided yet, {challenge.step_labels} labels of the challenger in this step, "
        f"{units} of its predictions have been judged or passed the label window"
    )


def write(kube: Kube, turnout: Mapping[str, Any], fields: Mapping[str, Any], found: Sequence[Condition]) -> None:
    """Patch the status where it differs. Without fields it is a part of a report: other conditions stay."""
    metadata, old = turnout["metadata"], dict(turnout.get("status") or {})
    known = {c["type"]: c for c in old.get("conditions") or []}
    conditions = {} if fields else dict(known)
    for name, holds, reason, message in found:
        conditions[name] = _condition(known.get(name), name, holds, reason, message, metadata["generation"])
    status = {**fields, "observedGeneration": metadata["generation"], "conditions": list(conditions.values())}
    # Mappings are replaced as a whole: in a merge patch a key that is left out would stay.
    patch = {key: value for key, value in status.items() if old.get(key) != value}
    for key in ("weights", "judged", "verdict", "lastOrder"):
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
