"""Which serving runtime serves a model: KServe's choice, with KServe's words when there is none.

Runtimes of the namespace come before those of the cluster; among either, those that may be chosen automatically for
the model's format and protocol, the highest priority first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["COMMAND", "Choice", "Refusal", "choose", "command_of"]

Object = dict[str, Any]

COMMAND = "turnout.dev/command"  # how a runtime is run without a container

_DEFAULT_PROTOCOL = "v1"
_NOTHING_FITS = "No runtime found to support specified framework/version"
_UNKNOWN = "Waiting for runtime to become available"
_WRONG_FORMAT = "Specified runtime does not support specified framework/version"
_WRONG_PROTOCOL = "Specified runtime does not support specified protocol version"


@dataclass(frozen=True)
class Choice:
    """The runtime that serves."""

    runtime: Object

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.runtime["metadata"]["name"])

    @property
    def is_cluster_wide(self) -> bool:
        """Whether it is a ClusterServingRuntime."""
        return bool(self.runtime["kind"] == "ClusterServingRuntime")


@dataclass(frozen=True)
class Refusal:
    """Why nothing serves, as it stands in `status.modelStatus.lastFailureInfo`."""

    reason: str
    message: str


def choose(model: Object, *, namespaced: Sequence[Object], cluster: Sequence[Object]) -> Choice | Refusal:
    """The runtime for the `model` block of a predictor."""
    if named := model.get("runtime"):
        known = (*namespaced, *cluster)
        return _check_named(model, next((runtime for runtime in known if runtime["metadata"]["name"] == named), None))
    for group in (namespaced, cluster):
        fitting = [runtime for runtime in _newest_first(group) if _fits(runtime, model)]
        if fitting:
            return Choice(max(fitting, key=lambda runtime: _priority(runtime, model)))
    return Refusal(reason="NoSupportingRuntime", message=_NOTHING_FITS)


def command_of(annotations: Object | None) -> str:
    """The command that runs without a container; empty when there is none."""
    return str((annotations or {}).get(COMMAND, ""))


def _check_named(model: Object, runtime: Object | None) -> Choice | Refusal:
    # A disabled one is said to be unknown: seen on a real cluster.
    if runtime is None or runtime["spec"].get("disabled"):
        return Refusal(reason="RuntimeNotRecognized", message=_UNKNOWN)
    if not _entries(runtime, model, automatic=False):
        return Refusal(reason="NoSupportingRuntime", message=_WRONG_FORMAT)
    if not _speaks(runtime, model):
        return Refusal(reason="NoSupportingRuntime", message=_WRONG_PROTOCOL)
    return Choice(runtime)


def _fits(runtime: Object, model: Object) -> bool:
    spec = runtime["spec"]
    return (
        not spec.get("disabled")
        and not spec.get("multiModel")
        and _speaks(runtime, model)
        and bool(_entries(runtime, model, automatic=True))
    )


def _entries(runtime: Object, model: Object, *, automatic: bool) -> list[Object]:
    """The runtime's supportedModelFormats that cover the model's format."""
    wanted = model.get("modelFormat") or {}
    return [
        entry
        for entry in runtime["spec"].get("supportedModelFormats") or ()
        if entry["name"] == wanted.get("name", "")
        and (not wanted.get("version") or entry.get("version") == wanted["version"])
        and (entry.get("autoSelect") or not automatic)
    ]


def _speaks(runtime: Object, model: Object) -> bool:
    protocol = model.get("protocolVersion") or _DEFAULT_PROTOCOL
    return protocol in (runtime["spec"].get("protocolVersions") or (_DEFAULT_PROTOCOL,))


def _priority(runtime: Object, model: Object) -> int:
    return max((entry.get("priority") or 0) for entry in _entries(runtime, model, automatic=True))


def _newest_first(runtimes: Sequence[Object]) -> list[Object]:
    """KServe's order among equals: the newest, then by name."""
    by_name = sorted(runtimes, key=lambda runtime: str(runtime["metadata"]["name"]))
    return sorted(by_name, key=lambda runtime: str(runtime["metadata"].get("creationTimestamp", "")), reverse=True)
