"""Requests per second of a small model, direct and through the gateway. Run: `python -m bench.gateway`."""

from __future__ import annotations

import sys
import tempfile
import urllib.parse
from pathlib import Path

import orjson
import yaml

from bench import load, rows
from turnout.embedded import lifecycle
from turnout.kube import client

_ROUNDS = 5
_SAMPLE = Path(__file__).parent.parent / "kserve" / "samples" / "iris-v1.yaml"


def _request(host: str, model: str) -> bytes:
    tensor = {"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}
    body = orjson.dumps({"inputs": [tensor]})
    head = f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    return head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def main() -> int:
    """Measure, interleaved: direct, gateway, direct, gateway ..."""
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        home = Path(folder)
        try:
            status = lifecycle.up(home, gateway_port=0)
            kube = client.connect(home / "kubeconfig")
            obj = yaml.safe_load(_SAMPLE.read_text())
            obj["metadata"].setdefault("namespace", "default")
            kube.apply(obj)
            name = obj["metadata"]["name"]
            kube.wait("InferenceService", name, namespace="default", timeout_s=30)
            pod = next(p for p in lifecycle.status(home).as_dict()["parts"] if f"{name}-predictor-" in p["part"])
            gateway = urllib.parse.urlsplit(status.urls["gateway"]).port or 80
            request = _request(f"{name}-default.localhost", name)
            direct, through = [], []
            for _ in range(_ROUNDS):
                direct.append(load.run(pod["port"], request))
                through.append(load.run(gateway, request))
        finally:
            lifecycle.down(home)
    failed = sum(run.failed for run in (*direct, *through))
    ratio = [t.per_second / d.per_second for t, d in zip(through, direct, strict=True)]
    held = rows.publish(
        "gateway",
        [
            rows.measured("direct, 8 connections", [r.per_second for r in direct], "requests/s"),
            rows.measured("through the gateway, 8 connections", [r.per_second for r in through], "requests/s"),
            rows.measured("gateway / direct", ratio, "ratio"),
            rows.measured("failed", [float(failed)], "requests", at_most=0),
        ],
    )
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
