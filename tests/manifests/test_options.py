"""The Components of addons/, all of them on production."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.manifests.rendering import EVERYTHING, Object, objects
from turnout.controller import measuring as of_controllers
from turnout.ledger.api import measuring as of_ledgers
from turnout.ledger.ingest import Taken
from turnout.ledger.store import Store
from turnout.predictor.identity import Identity
from turnout.predictor.metrics import Metrics
from turnout.predictor.recording import DURABILITIES, Policy, record

_METRIC = re.compile(r"(turnout_\w+)(?:\{([^}]*)\})?")
_UP = re.compile(r'\bup\{job="([^"]*)"\}')
_GROUPED = re.compile(r"\bby \(([^)]*)\)")


@pytest.fixture(scope="module")
def everything() -> list[Object]:
    return list(objects(EVERYTHING))


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


def of_a_predictor(folder: Path) -> Iterable[str]:
    """What one that has answered something says, whatever its durability."""
    metrics = Metrics(model="digits", version="digits-v1")
    metrics.count_reply(503)
    metrics.count_predictions(1, [0.001])
    yield from metrics.lines()
    loop = asyncio.new_event_loop()
    for durability in DURABILITIES:
        recording = record(
            folder / durability,
            Identity("default", "digits", "digits-v1", "pod"),
            ledger_url="http://127.0.0.1:9",
            ledger_token_file="",
            policy=Policy(durability=durability),
            loop=loop,
        )
        yield from recording.metrics(metrics.labels)
    loop.close()


def of_ledger_and_controller(folder: Path) -> Iterable[str]:
    """What a ledger that has taken and failed something says, and a controller."""
    registry, store = CollectorRegistry(), Store(f"sqlite:///{folder / 'ledger.db'}")
    registry.register(of_ledgers.Holdings(store))
    ledger = of_ledgers.Metrics(registry)
    ledger.count_reply(("POST", "/v1/events"), status=503, duration_s=0.1)
    for source in ("predictor", "gateway"):
        ledger.count_events(source, dict.fromkeys([*(field.name for field in fields(Taken)), "rejected"], 1))
    of_controllers.Metrics(registry)
    yield from generate_latest(registry).decode().splitlines()
    store.close()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, set[str]]]:
    """Metric to label to values, as our processes say them."""
    folder, found = tmp_path_factory.mktemp("exported"), dict[str, dict[str, set[str]]]()
    lines = [*of_a_predictor(folder), *of_ledger_and_controller(folder)]
    for name, labels in (match.groups(default="") for line in lines if (match := _METRIC.match(line))):
        values = found.setdefault(name, {})
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            values.setdefault(label, set()).add(value)
    return found


def questions(everything: list[Object]) -> list[str]:
    """The PromQL of all alerts and panels."""
    rules = named(everything, "PrometheusRule", "turnout")["spec"]["groups"][0]["rules"]
    board = json.loads(named(everything, "ConfigMap", "turnout-dashboard")["data"]["rollouts.json"])
    return [rule["expr"] for rule in rules] + [
        target["expr"] for panel in board["panels"] for target in panel["targets"]
    ]


def test_alerts_and_dashboard_ask_for_metrics_and_labels_that_we_export(
    everything: list[Object], exported: dict[str, dict[str, set[str]]]
) -> None:
    for question in questions(everything):
        asked, jobs = _METRIC.findall(question), set(_UP.findall(question))
        assert asked or jobs, question
        assert jobs <= {service["metadata"]["name"] for service in monitored(everything)}, question
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


def monitored(everything: list[Object]) -> list[Object]:
    """The Services that the ServiceMonitor selects."""
    (expression,) = named(everything, "ServiceMonitor", "turnout")["spec"]["selector"]["matchExpressions"]
    services = [obj for obj in everything if obj["kind"] == "Service"]
    return [obj for obj in services if obj["metadata"].get("labels", {}).get(expression["key"]) in expression["values"]]


def test_scraped_services_are_ledger_and_controller_where_they_show_metrics(everything: list[Object]) -> None:
    monitor = named(everything, "ServiceMonitor", "turnout")["spec"]
    services = monitored(everything)
    assert [service["metadata"]["name"] for service in services] == ["turnout-controller", "turnout-ledger"]
    for service in services:
        # Alerts know a job by this label.
        assert service["metadata"]["labels"][monitor["jobLabel"]] == service["metadata"]["name"]
        port = next(port for port in service["spec"]["ports"] if port["name"] == monitor["endpoints"][0]["port"])
        workload = named(everything, "Deployment", service["metadata"]["name"])["spec"]["template"]["spec"]
        (container,) = workload["containers"]
        listens = next(one["containerPort"] for one in container["ports"] if one["name"] == port["targetPort"])
        assert f"--metrics=0.0.0.0:{listens}" in container["args"]


def test_no_route_leads_to_metrics(everything: list[Object]) -> None:
    routes = [obj["spec"] for obj in everything if obj["kind"] == "HTTPRoute"]
    used = {(ref["name"], ref["port"]) for spec in routes for rule in spec["rules"] for ref in rule["backendRefs"]}
    assert used == {("turnout-ledger", 80)}
