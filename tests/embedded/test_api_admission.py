from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.apiserver import RUNTIMES, SERVICES, Api, inference_service, opened, runtime

MODEL: dict[str, Any] = {"modelFormat": {"name": "onnx"}, "storageUri": "s3://b/1"}
CLASS = "serving.kserve.io/autoscalerClass"
MODE = "serving.kserve.io/deploymentMode"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with opened(tmp_path) as api:
        yield api


def denied(answer: Any) -> str:
    assert answer.status_code == 403, answer.text
    message: str = answer.json()["message"]
    return message.partition("denied the request: ")[2]


def canary(name: str = "v2", percent: int = 10, **predictor: Any) -> dict[str, Any]:
    return {
        "trafficPercent": percent,
        "predictor": {"name": name, "model": {**MODEL, "storageUri": "s3://b/2"}, **predictor},
    }


def with_canaries(*canaries: dict[str, Any], annotations: dict[str, str] | None = None) -> dict[str, Any]:
    service = inference_service(annotations=annotations, model=MODEL)
    service["spec"]["predictor"]["name"] = "v1"
    service["spec"]["canary"] = list(canaries)
    return service


def test_a_minimal_service_gets_kserves_defaults(api: Api) -> None:
    made = api.post(SERVICES, inference_service(model={"modelFormat": {"name": "onnx"}})).json()
    assert made["metadata"]["annotations"] == {"modelFormat": "onnx", MODE: "Standard"}
    assert made["spec"] == {"predictor": {"model": {"modelFormat": {"name": "onnx"}, "name": "", "resources": {}}}}


@pytest.mark.parametrize(
    ("given", "stored"), [("RawDeployment", "Standard"), ("Serverless", "Knative"), ("Sideways", "Sideways")]
)
def test_old_names_of_modes_are_replaced(api: Api, given: str, stored: str) -> None:
    made = api.post(SERVICES, inference_service(annotations={MODE: given}, model=MODEL)).json()
    assert made["metadata"]["annotations"][MODE] == stored


def test_a_framework_block_becomes_the_model(api: Api) -> None:
    service = inference_service(sklearn={"storageUri": "gs://b/k"}, model={"modelFormat": {"name": "echo"}})
    made = api.post(SERVICES, service).json()
    model = {"modelFormat": {"name": "sklearn"}, "name": "", "resources": {}, "storageUri": "gs://b/k"}
    assert made["spec"]["predictor"] == {"model": model}
    assert made["metadata"]["annotations"]["modelFormat"] == "sklearn"


def test_an_own_container_gets_resources(api: Api) -> None:
    container = {"name": "kserve-container", "image": "i", "resources": {"requests": {"cpu": "10m"}}}
    made = api.post(SERVICES, inference_service(containers=[container])).json()
    assert made["spec"]["predictor"]["containers"][0]["resources"] == {
        "limits": {"cpu": "1", "memory": "2Gi"},
        "requests": {"cpu": "10m", "memory": "2Gi"},
    }


@pytest.mark.parametrize(
    ("predictor", "message"),
    [
        ({"minReplicas": 1}, "exactly one of ["),
        ({"sklearn": {}, "onnx": {}}, "exactly one of ["),
        ({"model": MODEL, "containers": [{"name": "c"}]}, "exactly one of ["),
        ({"model": {**MODEL, "name": "mine"}}, "the 'name' field is not allowed in standard predictor"),
        (
            {"model": MODEL, "storageUris": [{"uri": "s3://b/l"}]},
            "Setting both StorageURI and StorageURIs is not supported.",
        ),
        ({"model": MODEL, "minReplicas": 3, "maxReplicas": 1}, "'MinReplicas' cannot be greater than MaxReplicas"),
        ({"model": MODEL, "minReplicas": -1}, "'MinReplicas' cannot be less than 0"),
        ({"model": MODEL, "maxReplicas": -1}, "'MaxReplicas' cannot be less than 0"),
        ({"model": MODEL, "containerConcurrency": -1}, "parallelism cannot be less than 0"),
        ({"model": MODEL, "logger": {}}, "invalid logger type"),
        ({"model": MODEL, "logger": {"mode": "all", "storage": {"path": "p"}}}, "invalid logger storage configuration"),
        (
            {"model": {**MODEL, "env": [{"name": "PYTHONPATH", "value": "x"}]}},
            'the InferenceService "a" is invalid: setting PYTHONPATH in container "" is not allowed for security',
        ),
        (
            {"model": {**MODEL, "storageUri": "gs://b/k", "storage": {"key": "k"}}},
            "storageUri, must be one of: [s3://, hdfs://, webhdfs://]",
        ),
        (
            {"model": MODEL, "workerSpec": {}},
            "the InferenceService \"a\" is invalid: Multinode only supports 'pvc' and 'oci' Storage Protocol(s3)",
        ),
        ({"containers": []}, "exactly one of [Name, SKLearn,"),
        (
            {"model": {"modelFormat": {"name": "onnx"}, "storage": {"parameters": {"type": "ftp"}}}},
            "storage.spec.type, must be one of: [s3://, hdfs://, webhdfs://]. storage.spec.type [ftp] is not supported",
        ),
    ],
)
def test_predictors_that_kserve_refuses_are_refused(api: Api, predictor: dict[str, Any], message: str) -> None:
    assert denied(api.post(SERVICES, inference_service(**predictor))).startswith(message)


@pytest.mark.parametrize("name", ["1abc", "a.b"])
def test_names_that_cannot_be_hosts_are_refused(api: Api, name: str) -> None:
    assert denied(api.post(SERVICES, inference_service(name))).startswith(f'the InferenceService "{name}" is invalid')


def test_unknown_autoscalers_are_refused(api: Api) -> None:
    service = inference_service(annotations={"serving.kserve.io/autoscalerClass": "magic"})
    assert denied(api.post(SERVICES, service)) == "[magic] is not a supported autoscaler class type"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("", "/mnt/a")], "storage URI cannot be empty"),
        ([("s3://b", "/")], "storage path cannot be empty"),
        ([("s3://b", "mnt")], "storage path must be absolute: mnt"),
        ([("s3://b", "/mnt/../etc")], "storage path cannot contain '..' for security reasons: /mnt/../etc"),
        ([("s3://b", "/a/x"), ("s3://c", "/b/x")], "storage paths must have a common parent directory."),
    ],
)
def test_several_storage_uris_must_fit_together(api: Api, entries: list[tuple[str, str]], message: str) -> None:
    several = [{"uri": uri, "mountPath": path} for uri, path in entries]
    service = inference_service(model={"modelFormat": {"name": "onnx"}}, storageUris=several)
    assert denied(api.post(SERVICES, service)).startswith(message)


@pytest.mark.parametrize(
    ("annotations", "predictor", "message"),
    [
        ({CLASS: "hpa"}, {"scaleMetric": "rps"}, "[rps] is not a supported metric"),
        ({CLASS: "hpa"}, {"scaleTarget": 150}, "the target utilization percentage should be a [1-100] integer"),
        ({CLASS: "keda"}, {"scaleMetric": "cpu"}, "ScaleMetric is not supported for KEDA"),
        ({MODE: "Knative"}, {"scaleMetric": "cpu"}, "[cpu] is not a supported metric"),
    ],
)
def test_scaling_that_an_autoscaler_does_not_know_is_refused(
    api: Api, annotations: dict[str, str], predictor: dict[str, Any], message: str
) -> None:
    service = inference_service(annotations=annotations, model=MODEL, **predictor)
    assert denied(api.post(SERVICES, service)) == message


def test_a_number_that_is_a_text_is_refused_in_the_webhooks_words(api: Api) -> None:
    refused = api.post(SERVICES, inference_service(model=MODEL, minReplicas="two"))
    assert refused.status_code == 400
    field = "PredictorSpec.spec.predictor.ComponentExtensionSpec.minReplicas of type int32"
    assert f"cannot unmarshal string into Go struct field {field}" in refused.json()["message"]
    assert api.post(SERVICES, inference_service(model=["x"])).status_code == 400


@pytest.mark.parametrize(
    ("canaries", "message"),
    [
        ([{"trafficPercent": 1, "predictor": {"model": MODEL}}], "canary[0] predictor.name is required"),
        ([canary(), canary()], 'canary predictor.name "v2" is duplicated'),
        ([canary(name="v1")], 'canary predictor.name "v1" conflicts with stable predictor name'),
        ([canary(containers=[{"name": "c"}])], 'canary "v2" predictor: exactly one of ['),
        ([canary(maxReplicas=2)], 'canary "v2" must not set maxReplicas (canary uses fixed replicas)'),
        ([canary(workerSpec={"size": 1})], 'canary "v2" must not set workerSpec'),
        ([canary(minReplicas=2)], 'canary "v2" minReplicas (2) must not exceed stable predictor minReplicas (1)'),
        ([canary(percent=60), canary("v3", 50)], "sum of canary trafficPercent values (110) must be <= 100"),
    ],
)
def test_canaries_that_kserve_refuses_are_refused(api: Api, canaries: list[dict[str, Any]], message: str) -> None:
    assert denied(api.post(SERVICES, with_canaries(*canaries))).startswith(message)


def test_a_canary_without_a_percent_gets_none_of_the_traffic(api: Api) -> None:
    entry = canary()
    del entry["trafficPercent"]
    assert api.post(SERVICES, with_canaries(entry)).json()["spec"]["canary"][0]["trafficPercent"] == 0


def test_canaries_need_standard_mode_and_a_model(api: Api) -> None:
    knative = with_canaries(canary(), annotations={MODE: "Knative"})
    assert denied(api.post(SERVICES, knative)) == "canary is only supported in Standard deployment mode"
    own = inference_service(containers=[{"name": "c"}])
    own["spec"]["canary"] = [canary()]
    assert denied(api.post(SERVICES, own)).startswith("canary requires a stable predictor with a model")


def test_a_percent_beyond_a_hundred_breaks_the_schema(api: Api) -> None:
    refused = api.post(SERVICES, with_canaries(canary(percent=101))).json()
    assert refused["details"]["causes"][0]["field"] == "spec.canary[0].trafficPercent"


def test_the_mode_stays_once_the_status_says_it(api: Api) -> None:
    api.post(SERVICES, inference_service())
    api.patch(f"{SERVICES}/a/status", {"status": {"deploymentMode": "Standard"}})
    change = {"metadata": {"annotations": {MODE: "Knative"}}}
    expected = "update rejected: deploymentMode cannot be changed from 'Standard' to 'Knative'"
    assert denied(api.patch(f"{SERVICES}/a", change)) == expected


def test_the_stable_name_changes_with_the_model_only(api: Api) -> None:
    api.post(SERVICES, inference_service(model=MODEL))
    named = {"spec": {"predictor": {"name": "v2"}}}
    assert denied(api.patch(f"{SERVICES}/a", named)).startswith("predictor.name change requires a model change")
    promoted = {"spec": {"predictor": {"name": "v2", "model": {"storageUri": "s3://b/2"}}}}
    assert api.patch(f"{SERVICES}/a", promoted).status_code == 200


def formats(*entries: tuple[str, int]) -> list[dict[str, Any]]:
    return [
        {"name": "pear", "version": version, "autoSelect": True, "priority": priority} for version, priority in entries
    ]


def test_runtimes_of_one_priority_for_one_format_are_refused(api: Api) -> None:
    api.post(RUNTIMES, runtime("one"))
    expected = (
        "same priority assigned for the model format onnx in the servingruntimes one and two in namespace default"
    )
    assert denied(api.post(RUNTIMES, runtime("two"))) == expected


@pytest.mark.parametrize(
    "spec", [{"protocolVersions": ["v1"]}, {"disabled": True}, {"supportedModelFormats": formats(("1", 1))}]
)
def test_runtimes_that_never_compete_pass(api: Api, spec: dict[str, Any]) -> None:
    api.post(RUNTIMES, runtime("one"))
    assert api.post(RUNTIMES, runtime("two", **spec)).status_code == 201


def test_one_runtime_has_one_priority_per_format(api: Api) -> None:
    refused = api.post(RUNTIMES, runtime(supportedModelFormats=formats(("1", 1), ("2", 2))))
    expected = "different priorities assigned for the model format pear under the servingruntime a"
    assert denied(refused) == expected


def test_what_the_defaulting_webhook_cannot_read_is_refused_in_gos_words(api: Api) -> None:
    def refused(**predictor: Any) -> dict[str, Any]:
        answer: dict[str, Any] = api.post(SERVICES, inference_service(**predictor)).json()
        return answer

    amount = refused(model={**MODEL, "resources": {"limits": {"cpu": "x"}}})
    assert (amount["code"], amount.get("reason")) == (400, None)
    assert "quantities must match the regular expression" in amount["message"]
    assert "cannot unmarshal number 1.5 into" in refused(model=MODEL, scaleTarget=1.5)["message"]


def test_an_empty_transformer_is_refused(api: Api) -> None:
    service = inference_service(model=MODEL)
    service["spec"]["transformer"] = {}
    assert denied(api.post(SERVICES, service)).endswith("must be specified in TransformerSpec")
