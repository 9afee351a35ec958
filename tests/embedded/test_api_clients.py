"""The Python clients of Kubernetes and KServe against the embedded API."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from kserve import KServeClient
from kserve.models import (
    V1beta1InferenceService,
    V1beta1InferenceServiceSpec,
    V1beta1ModelFormat,
    V1beta1ModelSpec,
    V1beta1PredictorSpec,
)
from kubernetes import client, config, dynamic, watch

from tests.embedded.apiserver import Served, inference_service, served

pytestmark = pytest.mark.e2e

SERVICES = {"group": "serving.kserve.io", "version": "v1beta1", "namespace": "default", "plural": "inferenceservices"}
READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("api")) as server:
        yield server


@pytest.fixture
def session(server: Served) -> Iterator[client.ApiClient]:
    session = config.new_client_from_config(str(server.kubeconfig))
    yield session
    session.close()


def test_custom_objects_are_written_read_and_deleted(session: client.ApiClient) -> None:
    api = client.CustomObjectsApi(session)
    api.create_namespaced_custom_object(**SERVICES, body=inference_service("a"))
    change = {"spec": {"predictor": {"minReplicas": 2}}}
    patched = api.patch_namespaced_custom_object(**SERVICES, name="a", body=change)
    assert patched["metadata"]["generation"] == 2
    api.patch_namespaced_custom_object_status(**SERVICES, name="a", body=READY)
    assert api.get_namespaced_custom_object(**SERVICES, name="a")["status"] == READY["status"]
    with pytest.raises(client.ApiException) as refused:
        api.replace_namespaced_custom_object(**SERVICES, name="a", body=_older(patched))
    assert (refused.value.status, refused.value.reason) == (409, "Conflict")
    assert api.delete_namespaced_custom_object(**SERVICES, name="a")["status"] == "Success"


def _older(obj: dict[str, Any]) -> dict[str, Any]:
    version = str(int(obj["metadata"]["resourceVersion"]) - 1)
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": version}}


def test_built_in_objects_come_as_typed_models(session: client.ApiClient) -> None:
    api = client.CoreV1Api(session)
    labelled = client.V1ObjectMeta(name="m", labels={"a": "b"})
    api.create_namespaced_config_map("default", client.V1ConfigMap(metadata=labelled, data={"k": "v"}))
    assert [item.metadata.name for item in api.list_namespaced_config_map("default", label_selector="a=b").items] == [
        "m"
    ]
    assert api.patch_namespaced_config_map("m", "default", {"data": {"k": "w"}}).data == {"k": "w"}
    secret = client.V1Secret(metadata=client.V1ObjectMeta(name="s"), string_data={"k": "v"})
    assert api.create_namespaced_secret("default", secret).data == {"k": "dg=="}
    lease = client.V1Lease(metadata=client.V1ObjectMeta(name="l"), spec=client.V1LeaseSpec(holder_identity="me"))
    leases = client.CoordinationV1Api(session)
    assert leases.create_namespaced_lease("default", lease).spec.holder_identity == "me"


def test_a_watch_sees_each_change(session: client.ApiClient, server: Served) -> None:
    api, seen, begun = client.CustomObjectsApi(session), [], threading.Event()

    def look() -> None:
        for event in watch.Watch().stream(api.list_namespaced_custom_object, **SERVICES, timeout_seconds=20):
            seen.append((event["type"], event["object"]["metadata"]["name"]))
            begun.set()
            if event["type"] == "DELETED":
                return

    api.create_namespaced_custom_object(**SERVICES, body=inference_service("a"))
    looking = threading.Thread(target=look)
    looking.start()
    assert begun.wait(10)
    other = client.CustomObjectsApi(config.new_client_from_config(str(server.kubeconfig)))
    other.patch_namespaced_custom_object(**SERVICES, name="a", body={"metadata": {"labels": {"x": "1"}}})
    other.delete_namespaced_custom_object(**SERVICES, name="a")
    looking.join(20)
    assert seen == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


def test_the_dynamic_client_discovers_applies_and_watches(session: client.ApiClient) -> None:
    routes = dynamic.DynamicClient(session).resources.get(api_version="gateway.networking.k8s.io/v1", kind="HTTPRoute")
    body = {
        "apiVersion": routes.group_version,
        "kind": "HTTPRoute",
        "metadata": {"name": "r"},
        "spec": {"hostnames": ["a.b"]},
    }
    applied = routes.server_side_apply(body, namespace="default", field_manager="turnout", force_conflicts=True)
    assert applied.spec.hostnames == ["a.b"]
    assert [event["object"].metadata.name for event in routes.watch(namespace="default", timeout=1)] == ["r"]
    assert routes.delete(name="r", namespace="default").status == "Success"


def test_views_refuse_new_objects_with_a_reason(session: client.ApiClient) -> None:
    with pytest.raises(client.ApiException) as refused:
        client.AppsV1Api(session).create_namespaced_deployment("default", {"metadata": {"name": "x"}})
    assert (refused.value.status, "the engine makes deployments itself" in refused.value.body) == (403, True)


def test_kserves_own_client_creates_waits_for_and_deletes(session: client.ApiClient, server: Served) -> None:
    kserve = KServeClient(str(server.kubeconfig))
    model = V1beta1ModelSpec(model_format=V1beta1ModelFormat(name="onnx"), storage_uri="file:///models/1")
    spec = V1beta1InferenceServiceSpec(predictor=V1beta1PredictorSpec(min_replicas=1, model=model))
    metadata = client.V1ObjectMeta(name="k", namespace="default")
    version = "serving.kserve.io/v1beta1"
    service = V1beta1InferenceService(api_version=version, kind="InferenceService", metadata=metadata, spec=spec)
    kserve.create(service)
    assert not kserve.is_isvc_ready("k", namespace="default")
    client.CustomObjectsApi(session).patch_namespaced_custom_object_status(**SERVICES, name="k", body=READY)
    kserve.wait_isvc_ready("k", namespace="default", timeout_seconds=10, polling_interval=1)
    assert kserve.delete("k", namespace="default")["status"] == "Success"
