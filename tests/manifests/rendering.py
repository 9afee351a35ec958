"""The overlays as kubectl renders them, once per test session."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
OVERLAYS = tuple(sorted(path.name for path in (ROOT / "manifests" / "overlays").iterdir() if path.is_dir()))
SYSTEM = "turnout-system"
EVERYTHING = "everything"  # production with all of addons/, beside this file

Object = dict[str, Any]


@functools.cache
def text(overlay: str) -> str:
    """What `kubectl kustomize` prints."""
    folder = Path(__file__).parent if overlay == EVERYTHING else ROOT / "manifests" / "overlays"
    command = [str(Path(sys.executable).parent / "kubectl"), "kustomize", str(folder / overlay)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@functools.cache
def objects(overlay: str) -> tuple[Object, ...]:
    """Its objects."""
    return tuple(yaml.load_all(text(overlay), Loader=yaml.CSafeLoader))


def of_kind(overlay: str, *kinds: str) -> list[Object]:
    return [obj for obj in objects(overlay) if obj["kind"] in kinds]


def named(overlay: str, kind: str, name: str) -> Object:
    return next(obj for obj in of_kind(overlay, kind) if obj["metadata"]["name"] == name)


def pods(overlay: str) -> Iterator[tuple[str, Object, Object]]:
    """Name, labels and Pod spec of everything that becomes Pods, the container beside the gateway included."""
    for obj in of_kind(overlay, "Deployment", "StatefulSet"):
        template = obj["spec"]["template"]
        yield obj["metadata"]["name"], template["metadata"]["labels"], template["spec"]
    for obj in of_kind(overlay, "ClusterServingRuntime"):
        spec = obj["spec"]
        yield (
            obj["metadata"]["name"],
            {"serving.kserve.io/inferenceservice": "any"},
            {
                "containers": spec["containers"],
                "volumes": spec.get("volumes", []),
                "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            },
        )
    for obj in of_kind(overlay, "EnvoyProxy"):
        deployment = obj["spec"]["provider"]["kubernetes"]["envoyDeployment"]
        spec = deployment["patch"]["value"]["spec"]["template"]["spec"]
        yield obj["metadata"]["name"], {}, {**spec, "volumes": deployment["pod"]["volumes"], "securityContext": {}}
