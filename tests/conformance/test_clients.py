"""Clients in Python that nobody here wrote."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kubernetes import client, config, dynamic, watch
from lightkube import Client, KubeConfig
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap

from tests.conformance.conftest import require
from tests.conformance.kinds import BY_KIND
from tests.conformance.server import Server

pytestmark = pytest.mark.e2e


@pytest.fixture
def session(server: Server) -> Iterator[client.ApiClient]:
    session = config.new_client_from_config(str(server.kubeconfig))
    yield session
    session.close()


def test_kubernetes_writes_and_watches_typed_objects(session: client.ApiClient, ns: str) -> None:
    api = client.CoreV1Api(session)
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="m", labels={"a": "b"}), data={"k": "v"})
    created = api.create_namespaced_config_map(ns, body)
    assert api.patch_namespaced_config_map("m", ns, {"data": {"k": "w"}}).data == {"k": "w"}
    version = created.metadata.resource_version
    events = watch.Watch().stream(
        api.list_namespaced_config_map, ns, label_selector="a=b", resource_version=version, timeout_seconds=2
    )
    assert [(event["type"], event["object"].data) for event in events] == [("MODIFIED", {"k": "w"})]
    assert api.delete_namespaced_config_map("m", ns).status == "Success"


def test_kubernetes_dynamic_client_discovers_and_applies(session: client.ApiClient, ns: str, routes: str) -> None:
    found = dynamic.DynamicClient(session).resources.get(api_version="gateway.networking.k8s.io/v1", kind="HTTPRoute")
    body = BY_KIND["HTTPRoute"].named("r")
    applied = found.server_side_apply(body=body, namespace=ns, field_manager="test")
    assert applied.spec.hostnames == ["a.test"]
    assert [item.metadata.name for item in found.get(namespace=ns).items] == ["r"]
    assert found.delete(name="r", namespace=ns).status == "Success"


def test_lightkube_creates_applies_lists_and_deletes(server: Server, ns: str, routes: str) -> None:
    lightkube = Client(config=KubeConfig.from_file(str(server.kubeconfig)), namespace=ns, field_manager="lightkube")
    lightkube.create(ConfigMap(metadata=ObjectMeta(name="m"), data={"k": "v"}))
    applied = lightkube.apply(ConfigMap(metadata=ObjectMeta(name="m", namespace=ns), data={"z": "1"}))
    assert applied.data == {"k": "v", "z": "1"}
    kind = create_namespaced_resource("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
    lightkube.create(kind(BY_KIND["HTTPRoute"].named("r")))
    assert [item.metadata.name for item in lightkube.list(kind)] == ["r"]
    lightkube.delete(kind, "r")
    lightkube.delete(ConfigMap, "m")


def test_kserves_client_creates_patches_and_deletes(server: Server, ns: str) -> None:
    require(server, BY_KIND["InferenceService"])
    from kserve import KServeClient, V1beta1InferenceService

    body = BY_KIND["InferenceService"].named("a")
    kserve = KServeClient(config_file=str(server.kubeconfig))
    obj = V1beta1InferenceService(
        api_version=body["apiVersion"],
        kind=body["kind"],
        metadata=client.V1ObjectMeta(name="a", namespace=ns),
        spec=body["spec"],
    )
    assert kserve.create(obj, namespace=ns)["metadata"]["name"] == "a"
    assert kserve.get("a", namespace=ns)["spec"]["predictor"]["model"]["storageUri"] == "file:///models/a"
    kserve.delete("a", namespace=ns)
