"""The embedded engine: its own start and size, and a hundred versions behind a hundred endpoints.

Run: `python -m bench.engine` (about a minute on two idle cores, and 5 GB of memory).
"""

from __future__ import annotations

import http.client
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import yaml
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from bench import rows
from turnout.embedded import engine, lifecycle
from turnout.kube import client
from turnout.steps import artifact, exporting

Object = dict[str, Any]

_STARTS, _APPLIES, _LISTS, _ALONE = 5, 5, 50, 5
_VERSIONS = int(os.environ.get("VERSIONS", "100"))
_POLL_S = 0.01
_PROGRAMS = Path(sys.executable).parent
_GATEWAY = {"name": "kserve-ingress-gateway", "namespace": "kserve"}


def main() -> int:
    """Measure a control plane alone, one digits model, then a hundred."""
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        model = _digits(Path(folder) / "model")
        starts, sizes = _control_plane(Path(folder) / "alone")
        found = [
            rows.measured("control plane alone, resident", sizes, "MB", at_most=120.0),
            rows.measured("turnout up to API ready", starts, "s", at_most=2.0),
        ]
        home = Path(folder) / "home"
        try:
            lifecycle.up(home, gateway_port=0)
            found += _one_model(home, model)
            found += _many(home, model)
        finally:
            lifecycle.down(home)
    return 0 if rows.publish("engine", found) else 1


def _digits(folder: Path) -> Path:
    """A classifier of handwritten digits as an artifact."""
    table, labels = load_digits(return_X_y=True)
    features = {
        f"p{index:02d}": np.ascontiguousarray(table[:, index], dtype=np.float32) for index in range(table.shape[1])
    }
    fitted = Pipeline([("scale", StandardScaler()), ("model", LogisticRegression(max_iter=200))]).fit(
        exporting.frame(features), labels
    )
    exporting.export(fitted, checks=[features], task="classification", folder=folder)
    return folder


def _control_plane(folder: Path) -> tuple[list[float], list[float]]:
    """Seconds from `turnout up` until the API is ready, and megabytes of the engine's process."""
    seconds, sizes = [], []
    for number in range(_STARTS):
        home = folder / str(number)
        command = [str(_PROGRAMS / "turnout"), "up", "--gateway-port", "0"]
        began = time.monotonic()
        starting = subprocess.Popen(command, env={**os.environ, "TURNOUT_HOME": str(home)}, stdout=subprocess.DEVNULL)
        try:
            _until(partial(_is_ready, home), within_s=300)
            seconds.append(time.monotonic() - began)
            starting.wait(timeout=300)
            sizes.append(_resident_mb(home))
        finally:
            lifecycle.down(home)
        _say(f"start {number + 1} of {_STARTS}: {seconds[-1]:.2f} s, {sizes[-1]:.0f} MB")
    return seconds, sizes


def _is_ready(home: Path) -> bool:
    kubeconfig = home / "kubeconfig"
    if not kubeconfig.exists():
        return False
    address = urllib.parse.urlsplit(yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
    context = ssl.create_default_context(cafile=str(home / "tls" / "ca.crt"))
    connection = http.client.HTTPSConnection(address.hostname or "", address.port, timeout=5, context=context)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _resident_mb(home: Path) -> float:
    return next(part.resident_mb for part in lifecycle.status(home).parts if part.part == engine.ENGINE)


def _one_model(home: Path, model: Path) -> list[rows.Row]:
    """From `kubectl apply` to the first answer, with nothing else there."""
    seconds = []
    port = urllib.parse.urlsplit(lifecycle.status(home).urls["gateway"]).port or 80
    kube = client.connect(home / "kubeconfig")
    for number in range(_APPLIES):
        name = f"digits-v{number + 1}"
        began = time.monotonic()
        _kubectl_apply(home, _service(name, model))
        _until(partial(_answers, port, f"{name}-default.localhost", name), within_s=300)
        seconds.append(time.monotonic() - began)
        kube.delete("InferenceService", name, namespace="default")
        _say(f"first answer {number + 1} of {_APPLIES}: {seconds[-1]:.2f} s")
    return [rows.measured("kubectl apply of a digits model to its first answer", seconds, "s", at_most=2.5)]


def _many(home: Path, model: Path) -> list[rows.Row]:
    """A hundred InferenceServices, each behind an endpoint of its own, then some more."""
    kube = client.connect(home / "kubeconfig")
    port = urllib.parse.urlsplit(lifecycle.status(home).urls["gateway"]).port or 80
    first = [_time_to_answer(kube, port, f"first-v{number}", model) for number in range(_ALONE)]
    latencies, began = [], time.monotonic()
    for number in range(_VERSIONS):
        name = f"many-v{number}"
        for obj in (_service(name, model), _endpoint(name)):
            latencies.append(_timed(partial(kube.apply, obj)))
    _until(lambda: _ready(kube) >= _VERSIONS, within_s=900)
    all_ready = time.monotonic() - began
    _say(f"{_VERSIONS} ready after {all_ready:.0f} s")
    parts = [part for part in lifecycle.status(home).parts if part.part.startswith("default.many-")]
    lists = [_timed(lambda: kube.list("InferenceService", namespace="default")) for _ in range(_LISTS)]
    more = [_time_to_answer(kube, port, f"more-v{number}", model) for number in range(_ALONE)]
    ratio = statistics.median(more) / statistics.median(first)
    return [
        rows.measured("memory of a version, resident", [part.resident_mb for part in parts], "MB"),
        rows.measured("memory of a version, its share", [part.pss_mb for part in parts], "MB"),
        rows.measured(f"control plane with {_VERSIONS} versions, resident", [_resident_mb(home)], "MB"),
        rows.measured(f"time until {_VERSIONS} applied at once are Ready", [all_ready], "s"),
        rows.measured("the same, per version", [all_ready / _VERSIONS], "s"),
        rows.measured("apply, p99", [_percentile(latencies, 99)], "s"),
        rows.measured("apply", latencies, "s"),
        rows.measured(f"list of {_VERSIONS}", lists, "s"),
        rows.measured("apply to first answer, the first", first, "s"),
        rows.measured(f"apply to first answer, beside {_VERSIONS} others", more, "s"),
        rows.measured("one more / the first", [ratio], "ratio", at_most=2.0),
    ]


def _time_to_answer(kube: client.Kube, port: int, name: str, model: Path) -> float:
    began = time.monotonic()
    kube.apply(_service(name, model))
    kube.apply(_endpoint(name))
    _until(lambda: _answers(port, f"{name}.bench.localhost", name), within_s=120)
    seconds = time.monotonic() - began
    kube.delete("HTTPRoute", f"{name}-endpoint", namespace="default")
    kube.delete("InferenceService", name, namespace="default")
    _say(f"{name}: {seconds:.2f} s")
    return seconds


def _service(name: str, model: Path) -> Object:
    annotations = {
        "turnout.dev/endpoint": name.rpartition("-")[0],
        "turnout.dev/digest": artifact.digest(model / artifact.MANIFEST),
        "serving.kserve.io/deploymentMode": "Standard",
        "serving.kserve.io/autoscalerClass": "none",
    }
    spec = {
        "modelFormat": {"name": "onnx"},
        "protocolVersion": "v2",
        "runtime": "turnout-onnx",
        "storageUri": model.as_uri(),
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {"predictor": {"minReplicas": 1, "model": spec}},
    }


def _endpoint(name: str) -> Object:
    backend = {"name": f"{name}-predictor", "port": 80, "weight": 1}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": f"{name}-endpoint", "namespace": "default"},  # the service's own route has its name
        "spec": {
            "parentRefs": [_GATEWAY],
            "hostnames": [f"{name}.bench.localhost"],
            "rules": [{"backendRefs": [backend]}],
        },
    }


def _kubectl_apply(home: Path, obj: Object) -> None:
    command = ["kubectl", "--kubeconfig", str(home / "kubeconfig"), "apply", "-f", "-"]
    subprocess.run(command, input=yaml.safe_dump(obj), text=True, check=True, capture_output=True)


def _answers(port: int, host: str, model: str) -> bool:
    tensor = {"name": "input-0", "datatype": "FP32", "shape": [1, 64], "data": [0.0] * 64}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"Host": host, "Content-Type": "application/json"}
        connection.request("POST", f"/v2/models/{model}/infer", orjson.dumps({"inputs": [tensor]}), headers)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _ready(kube: client.Kube) -> int:
    services = kube.list("InferenceService", namespace="default")
    conditions = [condition for obj in services for condition in obj.get("status", {}).get("conditions", ())]
    return sum(1 for condition in conditions if condition["type"] == "Ready" and condition["status"] == "True")


def _timed(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def _percentile(values: list[float], percent: int) -> float:
    return float(np.percentile(values, percent))


def _until(holds: Callable[[], bool], *, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not after {within_s} s")
        time.sleep(_POLL_S)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
