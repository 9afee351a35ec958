"""The Components of addons/, all of them on production."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.manifests.rendering import Object
from turnout.predictor.identity import Identity
from turnout.predictor.metrics import Metrics
from turnout.predictor.recording import DURABILITIES, Policy, record

_METRIC = re.compile(r"(turnout_\w+)(?:\{([^}]*)\})?")
_GROUPED = re.compile(r"\bby \(([^)]*)\)")


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


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, set[str]]]:
    """Metric to label to values, as a predictor that has answered something says them."""
    metrics = Metrics(model="digits", version="digits-v1")
    metrics.count_reply(503)
    metrics.count_predictions(1, [0.001])
    lines, loop = list(metrics.lines()), asyncio.new_event_loop()
    for durability in DURABILITIES:
        recording = record(
            tmp_path_factory.mktemp("log"),
            Identity("default", "digits", "digits-v1", "pod"),
            ledger_url="http://127.0.0.1:9",
            ledger_token_file="",
            policy=Policy(durability=durability),
            loop=loop,
        )
        lines += recording.metrics(metrics.labels)
    loop.close()
    found: dict[str, dict[str, set[str]]] = {}
    for name, labels in (match.groups(default="") for line in lines if (match := _METRIC.match(line))):
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            found.setdefault(name, {}).setdefault(label, set()).add(value)
    return found


def questions(everything: list[Object]) -> list[str]:
    """The PromQL of all alerts and panels."""
    rules = named(everything, "PrometheusRule", "turnout")["spec"]["groups"][0]["rules"]
    board = json.loads(named(everything, "ConfigMap", "turnout-dashboard")["data"]["rollouts.json"])
    return [rule["expr"] for rule in rules] + [
        target["expr"] for panel in board["panels"] for target in panel["targets"]
    ]


def test_alerts_and_dashboard_ask_for_metrics_and_labels_that_predictors_export(
    everything: list[Object], exported: dict[str, dict[str, set[str]]]
) -> None:
    for question in questions(everything):
        asked = _METRIC.findall(question)
        assert asked, question
        grouped = {label.strip() for group in _GROUPED.findall(question) for label in group.split(",")}
        for name, matchers in asked:
            assert name in exported, question
            assert grouped <= exported[name].keys(), question
            for label, sign, value in re.findall(r'(\w+)(=~?)"([^"]*)"', matchers):
                assert label in exported[name], question
                if value.startswith("$"):
                    continue  # a variable of the dashboard
                pattern = value if sign == "=~" else re.escape(value)
                assert any(re.fullmatch(pattern, one) for one in exported[name][label]), question
        assert question.count("(") == question.count(")")


def test_scraped_pods_are_the_predictors(everything: list[Object]) -> None:
    monitor = named(everything, "PodMonitor", "turnout-predictors")["spec"]
    runtime = named(everything, "ClusterServingRuntime", "turnout-onnx")["spec"]["containers"][0]
    assert monitor["podMetricsEndpoints"][0]["portNumber"] == runtime["ports"][0]["containerPort"]
    # KServe gives an InferenceService's labels to its Pods; turnout.kube.inferenceservices sets this one.
    assert monitor["selector"]["matchExpressions"] == [{"key": "turnout.dev/endpoint", "operator": "Exists"}]
