"""The Components of addons/, all of them on production."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.manifests.rendering import ROOT, Object

# What predictors say about themselves: turnout.predictor.metrics and .recording.
METRICS = {
    "turnout_requests_total",
    "turnout_request_duration_seconds_bucket",
    "turnout_prediction_log_records_total",
    "turnout_prediction_log_ledger_up",
    "turnout_prediction_log_backlog_bytes",
}


@pytest.fixture(scope="module")
def everything() -> list[Object]:
    command = [str(Path(sys.executable).parent / "kubectl"), "kustomize", str(Path(__file__).parent / "everything")]
    return list(yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def named(everything: list[Object], kind: str, name: str) -> Object:
    return next(obj for obj in everything if (obj["kind"], obj["metadata"]["name"]) == (kind, name))


def test_the_autoscaler_owns_the_number_of_ledgers(everything: list[Object]) -> None:
    scaler = named(everything, "HorizontalPodAutoscaler", "turnout-ledger")
    assert "replicas" not in named(everything, "Deployment", "turnout-ledger")["spec"]
    assert scaler["spec"]["minReplicas"] == 2


def test_the_certificate_is_the_one_that_the_gateway_shows(everything: list[Object]) -> None:
    gateway = named(everything, "Gateway", "kserve-ingress-gateway")
    shown = gateway["spec"]["listeners"][1]["tls"]["certificateRefs"][0]["name"]
    certificate = named(everything, "Certificate", "turnout-gateway")
    assert certificate["spec"]["secretName"] == shown
    assert certificate["metadata"]["namespace"] == gateway["metadata"]["namespace"]


def test_alerts_and_dashboard_ask_for_metrics_that_there_are(everything: list[Object]) -> None:
    rules = named(everything, "PrometheusRule", "turnout")["spec"]["groups"][0]["rules"]
    board = json.loads(named(everything, "ConfigMap", "turnout-dashboard")["data"]["rollouts.json"])
    asked = [rule["expr"] for rule in rules]
    asked += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert {name for text in asked for name in re.findall(r"turnout_\w+", text)} == METRICS
    source = "".join(path.read_text() for path in (ROOT / "src" / "turnout" / "predictor").glob("*.py"))
    for name in METRICS:
        assert name.removeprefix("turnout_").removesuffix("_bucket") in source, name


def test_scraped_pods_are_the_predictors(everything: list[Object]) -> None:
    monitor = named(everything, "PodMonitor", "turnout-predictors")["spec"]
    runtime = named(everything, "ClusterServingRuntime", "turnout-onnx")["spec"]["containers"][0]
    assert monitor["podMetricsEndpoints"][0]["portNumber"] == runtime["ports"][0]["containerPort"]
    # KServe gives an InferenceService's labels to its Pods; turnout.kube.inferenceservices sets this one.
    assert monitor["selector"]["matchExpressions"] == [{"key": "turnout.dev/endpoint", "operator": "Exists"}]
