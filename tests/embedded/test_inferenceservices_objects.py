"""What an InferenceService becomes: Deployment, Service and HTTPRoutes as KServe makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from turnout.embedded.serving import podspecs, variants, workloads
from turnout.embedded.serving.runtimes import Choice
from turnout.errors import SpecError

Object = dict[str, Any]


def isvc(predictor: Object | None = None, **metadata: Any) -> Object:
    model = {"modelFormat": {"name": "echo"}, "storageUri": "file:///m"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "fig", "namespace": "default", "uid": "u", **metadata},
        "spec": {"predictor": predictor or {"model": model}},
    }


def choice(container: Object | None = None, **spec: Any) -> Choice:
    base = {"name": "kserve-container", "image": "echo:1", "args": ["--model_name={{.Name}}"]}
    found = {"annotations": {"turnout.dev/command": "run"}, "containers": [{**base, **(container or {})}], **spec}
    return Choice({"kind": "ServingRuntime", "metadata": {"name": "echo"}, "spec": found})


def made(service: Object, runtime: Choice | None) -> Object:
    """The Deployment of the stable predictor."""
    replicas = variants.stable_replicas(service, [])
    return workloads.deployment(service, variants.stable(service), runtime, replicas=replicas)


def container(service: Object, runtime: Choice | None) -> Object:
    found: Object = made(service, runtime)["spec"]["template"]["spec"]["containers"][0]
    return found


def with_model(**fields: Any) -> Object:
    return isvc({"model": {"modelFormat": {"name": "echo"}, "storageUri": "file:///m", **fields}})


def test_model_arguments_follow_the_runtimes_and_both_are_rendered() -> None:
    assert container(with_model(args=["x={{.Namespace}}"]), choice())["args"] == ["--model_name=fig", "x=default"]


def test_the_models_variables_come_first_and_override_the_runtimes_by_name() -> None:
    runtime = choice({"env": [{"name": "A", "value": "runtime"}, {"name": "B", "value": "{{.Name}}"}]})
    assert container(with_model(env=[{"name": "A", "value": "mine"}]), runtime)["env"] == [
        {"name": "A", "value": "mine"},
        {"name": "B", "value": "fig"},
        {"name": "INFERENCE_SERVICE_NAME", "value": "fig"},
    ]


def test_resources_merge_key_by_key() -> None:
    runtime = choice({"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "10m", "memory": "16Mi"}}})
    found = container(with_model(resources={"requests": {"cpu": "20m"}}), runtime)["resources"]
    assert found == {"limits": {"cpu": "1"}, "requests": {"cpu": "20m", "memory": "16Mi"}}


def test_a_broken_template_names_runtime_and_container() -> None:
    with pytest.raises(SpecError, match="in serving runtime echo Container kserve-container"):
        made(isvc(), choice({"args": ["{{.Nope}}"]}))


def test_quotes_in_a_containers_template_fail_as_they_do_in_kserve_and_backquotes_do_not() -> None:
    with pytest.raises(SpecError, match="failed to replace placeholders"):
        made(isvc(), choice({"args": ['{{index .Annotations "a"}}']}))
    found = container(isvc(annotations={"a": "b"}), choice({"args": ["{{index .Annotations `a`}}"]}))
    assert found["args"] == ["b"]


def test_every_probe_gets_kubernetes_defaults() -> None:
    probe = container(isvc(), choice({"livenessProbe": {"httpGet": {"path": "/l", "port": 1}}}))["livenessProbe"]
    assert (probe["httpGet"]["scheme"], probe["periodSeconds"], probe["failureThreshold"]) == ("HTTP", 10, 3)


def test_the_strategy_of_a_deployment_is_the_predictors() -> None:
    def strategy(**wanted: Any) -> Object:
        predictor = {"model": {"modelFormat": {"name": "echo"}}, **({"deploymentStrategy": wanted} if wanted else {})}
        found: Object = made(isvc(predictor), choice())["spec"]["strategy"]
        return found

    assert strategy()["rollingUpdate"] == {"maxUnavailable": "25%", "maxSurge": "25%"}
    assert strategy(type="Recreate") == {"type": "Recreate"}
    rolling = strategy(type="RollingUpdate", rollingUpdate={"maxSurge": 1})["rollingUpdate"]
    assert rolling == {"maxUnavailable": "25%", "maxSurge": 1}


def test_labels_and_annotations_of_the_predictor_beat_those_of_the_service_and_the_runtime() -> None:
    predictor = {"model": {"storageUri": "file:///m"}, "labels": {"team": "inner"}, "annotations": {"note": "inner"}}
    service = isvc(
        predictor, labels={"team": "outer", "app": "mine"}, annotations={"note": "outer", "modelFormat": "x"}
    )
    metadata = made(service, choice())["metadata"]
    assert metadata["labels"] == {
        "team": "inner",
        "app": "isvc.fig-predictor",
        "component": "predictor",
        "serving.kserve.io/inferenceservice": "fig",
    }
    assert metadata["annotations"] == {
        "turnout.dev/command": "run",
        "note": "inner",
        "internal.serving.kserve.io/storage-initializer-sourceuri": "file:///m",
    }


def test_a_frameworks_block_is_a_model_with_its_format_implied() -> None:
    assert podspecs.model_of({"sklearn": {"storageUri": "file:///m"}}) == {
        "modelFormat": {"name": "sklearn"},
        "storageUri": "file:///m",
    }
    assert podspecs.model_of({"containers": []}) == {}


def test_a_predictor_with_its_own_container_needs_no_runtime() -> None:
    predictor = {
        "containers": [{"name": "kserve-container", "image": "own", "resources": {"requests": {"cpu": "10m"}}}]
    }
    found = container(isvc(predictor), None)
    assert podspecs.is_custom(predictor)
    assert found["resources"] == {"limits": {"cpu": "1", "memory": "2Gi"}, "requests": {"cpu": "10m", "memory": "2Gi"}}
    assert found["readinessProbe"]["tcpSocket"] == {"port": 8080}


@pytest.mark.parametrize(
    ("wanted", "scaler", "replicas"),
    [(None, "none", 1), (0, "none", 0), (3, "none", 3), (0, "hpa", 1), (2, "hpa", 2), (0, "external", 0)],
)
def test_replicas_follow_min_replicas_and_an_autoscaler_never_goes_to_zero(
    wanted: int | None, scaler: str, replicas: int
) -> None:
    predictor = {"model": {"storageUri": "file:///m"}} | ({} if wanted is None else {"minReplicas": wanted})
    service = isvc(predictor, annotations={"serving.kserve.io/autoscalerClass": scaler})
    assert made(service, choice())["spec"]["replicas"] == replicas


def test_the_service_leads_from_port_80_to_the_containers_port() -> None:
    def port(runtime: Choice) -> Object:
        found: Object = workloads.service(isvc(), made(isvc(), runtime))["spec"]["ports"][0]
        return found

    assert port(choice({"ports": [{"containerPort": 9000}]})) == {"protocol": "TCP", "port": 80, "targetPort": 9000}
    assert port(choice())["name"] == "fig-predictor"
    assert port(choice({"ports": [{"containerPort": 1, "name": "h2c"}]}))["name"] == "h2c"


def test_two_routes_lead_to_the_predictor_with_kserves_headers_and_timeout() -> None:
    service = isvc({"model": {"storageUri": "file:///m"}, "timeout": 7}, labels={"app": "mine"})
    found = workloads.routes(service, "example.com", {"fig-predictor": 1})
    assert [route["metadata"]["name"] for route in found] == ["fig", "fig-predictor"]
    assert [route["spec"]["hostnames"] for route in found] == [
        ["fig-default.example.com"],
        ["fig-predictor-default.example.com"],
    ]
    (rule,) = found[0]["spec"]["rules"]
    assert rule["timeouts"] == {"request": "7s"}
    assert rule["backendRefs"][0]["name"] == "fig-predictor"
    assert found[0]["metadata"]["labels"] == {"app": "mine"}
    assert workloads.routes(isvc(), "x", {"fig-predictor": 1})[0]["spec"]["rules"][0]["timeouts"] == {"request": "60s"}


def test_the_same_template_has_the_same_hash_and_another_has_another() -> None:
    assert workloads.short_hash({"a": 1, "b": 2}) == workloads.short_hash({"b": 2, "a": 1})
    assert workloads.short_hash({"a": 1}) != workloads.short_hash({"a": 2})


def test_the_shipped_runtime_serves_our_samples_in_both_engines() -> None:
    root = Path(__file__).parents[2] / "kserve"
    runtime = yaml.safe_load((root / "clusterservingruntime-onnx.yaml").read_text())
    sample = yaml.safe_load((root / "samples" / "iris-v1.yaml").read_text())
    sample["metadata"] |= {"namespace": "default", "uid": "u"}
    template = made(sample, Choice(runtime))["spec"]["template"]
    (found,) = template["spec"]["containers"]
    assert "--model_name=iris-v1" in found["args"]
    assert f"--digest={sample['metadata']['annotations']['turnout.dev/digest']}" in found["args"]
    assert found["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert found["securityContext"]["runAsNonRoot"] is True
    assert template["metadata"]["annotations"]["turnout.dev/command"].startswith("python -m turnout.predictor ")
