"""The columns of `kubectl get`: what they are called and how a cell is read from an object.

kubectl prints what the server computes, so these functions decide what people see. Custom kinds give a JSON path per
column in their definition; built-in kinds have a function per column, in the order of built_in_columns.yaml.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from turnout.embedded import crds, jsonpath

__all__ = ["BUILT_IN", "Column", "human_duration", "of_custom_kind"]


@dataclass(frozen=True)
class Column:
    """One column; `cell` reads it from an object at an instant (ages depend on it)."""

    name: str
    type: str
    description: str
    cell: Callable[[dict[str, Any], datetime], Any]
    format: str = ""
    priority: int = 0

    def definition(self) -> dict[str, Any]:
        """The column as a Table describes it."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


def human_duration(seconds: float) -> str:
    """Kubernetes' short age: two units while the number is small, one later (duration.HumanDuration)."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    whole = max(whole, 0)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 365 * 2:
        return f"{days}d"
    if days < 365 * 8:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"


def _age(timestamp: str | None, now: datetime) -> str:
    if not timestamp:
        return "<unknown>"
    try:
        instant = datetime.fromisoformat(timestamp)
    except ValueError:
        return "<unknown>"
    return human_duration((now - instant.replace(tzinfo=instant.tzinfo or UTC)).total_seconds())


def _name(obj: dict[str, Any], now: datetime) -> str:
    return str(obj["metadata"].get("name", ""))


def _object_age(obj: dict[str, Any], now: datetime) -> str:
    return _age(obj["metadata"].get("creationTimestamp"), now)


def _text(path: str, default: str = "") -> Callable[[dict[str, Any], datetime], Any]:
    steps = path.split(".")

    def cell(obj: dict[str, Any], now: datetime) -> Any:
        value: Any = obj
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        return default if value is None else value

    return cell


def _data_count(obj: dict[str, Any], now: datetime) -> int:
    return len(obj.get("data") or {}) + len(obj.get("binaryData") or {})


def _selector(selector: Mapping[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((selector or {}).items())) or "<none>"


def _deployment_ready(obj: dict[str, Any], now: datetime) -> str:
    return f"{obj.get('status', {}).get('readyReplicas', 0)}/{obj.get('spec', {}).get('replicas', 1)}"


def _container_field(field: str, obj: dict[str, Any], now: datetime) -> str:
    containers = obj.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    return ",".join(str(container.get(field, "")) for container in containers)


def _deployment_selector(obj: dict[str, Any], now: datetime) -> str:
    return _selector(obj.get("spec", {}).get("selector", {}).get("matchLabels"))


def _service_selector(obj: dict[str, Any], now: datetime) -> str:
    return _selector(obj.get("spec", {}).get("selector"))


def _service_ports(obj: dict[str, Any], now: datetime) -> str:
    ports = obj.get("spec", {}).get("ports") or []
    return ",".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in ports) or "<none>"


def _event_object(obj: dict[str, Any], now: datetime) -> str:
    about = obj.get("involvedObject", {})
    return f"{about.get('kind', '').lower()}/{about['name']}" if about.get("name") else about.get("kind", "").lower()


def _event_source(obj: dict[str, Any], now: datetime) -> str:
    source = obj.get("source") or {}
    component = source.get("component") or obj.get("reportingComponent", "")
    return ", ".join(part for part in (component, source.get("host")) if part)


def _event_first_seen(obj: dict[str, Any], now: datetime) -> str:
    return _age(obj.get("firstTimestamp") or obj.get("eventTime"), now)


def _event_last_seen(obj: dict[str, Any], now: datetime) -> str:
    series = (obj.get("series") or {}).get("lastObservedTime")
    return (
        _age(series or obj.get("lastTimestamp"), now)
        if series or obj.get("lastTimestamp")
        else _event_first_seen(obj, now)
    )


def _event_count(obj: dict[str, Any], now: datetime) -> int:
    return int((obj.get("series") or {}).get("count") or obj.get("count") or 1)


def _containers(obj: dict[str, Any]) -> list[dict[str, Any]]:
    found = obj.get("status", {}).get("containerStatuses") or []
    return [status for status in found if isinstance(status, dict)]


def _pod_ready(obj: dict[str, Any], now: datetime) -> str:
    ready = sum(1 for status in _containers(obj) if status.get("ready"))
    return f"{ready}/{len(obj.get('spec', {}).get('containers', []))}"


def _pod_status(obj: dict[str, Any], now: datetime) -> str:
    """A waiting or terminated container explains more than the phase does."""
    reason = obj.get("status", {}).get("reason") or obj.get("status", {}).get("phase", "")
    for status in reversed(_containers(obj)):
        state = status.get("state", {})
        waiting, ended = state.get("waiting", {}).get("reason"), state.get("terminated", {}).get("reason")
        reason = waiting or ended or reason
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else str(reason)


def _pod_restarts(obj: dict[str, Any], now: datetime) -> str:
    statuses = _containers(obj)
    restarts = sum(int(status.get("restartCount", 0)) for status in statuses)
    ends = [status.get("lastState", {}).get("terminated", {}).get("finishedAt") for status in statuses]
    last = max((end for end in ends if end), default=None)
    return f"{restarts} ({_age(last, now)} ago)" if restarts and last else str(restarts)


def _constant(value: Any) -> Callable[[dict[str, Any], datetime], Any]:
    return lambda obj, now: value


def _scale_target(obj: dict[str, Any], now: datetime) -> str:
    target = obj.get("spec", {}).get("scaleTargetRef") or {}
    return f"{target.get('kind', '')}/{target.get('name', '')}"


def _scale_metrics(obj: dict[str, Any], now: datetime) -> str:
    """What each metric is and should be; nothing is measured here, so the first is unknown."""
    metrics = obj.get("spec", {}).get("metrics") or []
    found = [metric.get("resource") or {} for metric in metrics]
    texts = [f"{one['name']}: <unknown>/{one.get('target', {}).get('averageUtilization', 0)}%" for one in found if one]
    return ", ".join(texts) or "<none>"


_CELLS: dict[str, tuple[Callable[[dict[str, Any], datetime], Any], ...]] = {
    "Namespace": (_name, _text("status.phase", "Active"), _object_age),
    "ConfigMap": (_name, _data_count, _object_age),
    "Secret": (_name, _text("type", "Opaque"), _data_count, _object_age),
    "ServiceAccount": (_name, lambda obj, now: len(obj.get("secrets") or ()), _object_age),
    "Lease": (_name, _text("spec.holderIdentity"), _object_age),
    "HorizontalPodAutoscaler": (
        _name,
        _scale_target,
        _scale_metrics,
        lambda obj, now: str(obj.get("spec", {}).get("minReplicas", "<unset>")),
        lambda obj, now: str(obj.get("spec", {}).get("maxReplicas", 0)),
        lambda obj, now: str(obj.get("status", {}).get("currentReplicas", 0)),
        _object_age,
    ),
    "Event": (
        _event_last_seen,
        _text("type"),
        _text("reason"),
        _event_object,
        _text("involvedObject.fieldPath"),
        _event_source,
        lambda obj, now: str(obj.get("message", "")).strip(),
        _event_first_seen,
        _event_count,
        _name,
    ),
    "Pod": (
        _name,
        _pod_ready,
        _pod_status,
        _pod_restarts,
        _object_age,
        _text("status.podIP", "<none>"),
        _text("spec.nodeName", "<none>"),
        _constant("<none>"),
        _constant("<none>"),
    ),
    "Service": (
        _name,
        _text("spec.type", "ClusterIP"),
        _text("spec.clusterIP", "<none>"),
        _constant("<none>"),
        _service_ports,
        _object_age,
        _service_selector,
    ),
    "Deployment": (
        _name,
        _deployment_ready,
        _text("status.updatedReplicas", "0"),
        _text("status.availableReplicas", "0"),
        _object_age,
        partial(_container_field, "name"),
        partial(_container_field, "image"),
        _deployment_selector,
    ),
}


def _built_in() -> dict[str, tuple[Column, ...]]:
    texts = crds.read_yaml(Path(__file__).with_name("built_in_columns.yaml"))
    found = {}
    for kind, cells in _CELLS.items():
        entries = [{**texts.get(entry.get("use"), {}), **entry} for entry in texts[kind]]
        found[kind] = tuple(
            Column(
                name=entry["name"],
                type=entry.get("type", "string"),
                description=entry["description"],
                cell=cell,
                format=entry.get("format", ""),
                priority=entry.get("priority", 0),
            )
            for entry, cell in zip(entries, cells, strict=True)
        )
    return found


BUILT_IN = _built_in()


def of_custom_kind(printer_columns: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """The columns of a custom kind: its name, then what its definition says; without that, its age."""
    name, age = BUILT_IN["ConfigMap"][0], BUILT_IN["ConfigMap"][-1]
    entries = printer_columns or (
        {"name": "Age", "type": "date", "description": age.description, "jsonPath": ".metadata.creationTimestamp"},
    )
    return (name, *(_from_definition(entry) for entry in entries))


def _from_definition(entry: Mapping[str, Any]) -> Column:
    path, kind = jsonpath.compile(entry["jsonPath"]), entry["type"]

    def cell(obj: dict[str, Any], now: datetime) -> Any:
        values = path(obj)
        if not values:
            return None
        if kind == "date":
            return _age(str(values[0]), now)
        return jsonpath.as_text(values) if kind == "string" else values[0]

    return Column(
        name=entry["name"],
        type=kind,
        description=entry.get(
            "description", f"Custom resource definition column (in JSONPath format): {entry['jsonPath']}"
        ),
        cell=cell,
        format=entry.get("format", ""),
        priority=entry.get("priority", 0),
    )
