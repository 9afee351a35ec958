"""One small object of every kind that Turnout needs of a server, and where it lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """A kind, by an example; `change` is a merge patch that alters the example."""

    kind: str
    api_version: str
    plural: str
    body: Object
    change: Object
    namespaced: bool = True
    is_custom: bool = True
    has_status: bool = False

    def collection(self, namespace: str) -> str:
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" if self.namespaced else f"{root}/{self.plural}"

    def named(self, name: str) -> Object:
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": {"name": name}, **self.body}


_GATEWAY = "gateway.networking.k8s.io"
_RUNTIME: Object = {"containers": [{"name": "kserve-container", "image": "example.com/runtime:1"}]}
_MODEL: Object = {"model": {"name": "", "modelFormat": {"name": "onnx"}, "storageUri": "file:///models/a"}}
_TARGET: Object = {"group": _GATEWAY, "kind": "HTTPRoute", "name": "r"}
_HASH: Object = {"type": "ConsistentHash", "consistentHash": {"type": "Header", "header": {"name": "x-user"}}}

SAMPLES = (
    Sample("ConfigMap", "v1", "configmaps", {"data": {"a": "1"}}, {"data": {"a": "2"}}, is_custom=False),
    Sample("Secret", "v1", "secrets", {"data": {"a": "MQ=="}}, {"data": {"a": "Mg=="}}, is_custom=False),
    Sample(
        "ServiceAccount",
        "v1",
        "serviceaccounts",
        {"secrets": [{"name": "r"}]},
        {"secrets": [{"name": "s"}]},
        is_custom=False,
    ),
    Sample(
        "Lease",
        "coordination.k8s.io/v1",
        "leases",
        {"spec": {"holderIdentity": "a"}},
        {"spec": {"holderIdentity": "b"}},
        is_custom=False,
    ),
    Sample(
        "HTTPRoute",
        f"{_GATEWAY}/v1",
        "httproutes",
        {"spec": {"hostnames": ["a.test"]}},
        {"spec": {"hostnames": ["b.test"]}},
        has_status=True,
    ),
    Sample(
        "ReferenceGrant",
        f"{_GATEWAY}/v1",
        "referencegrants",
        {
            "spec": {
                "from": [{"group": _GATEWAY, "kind": "HTTPRoute", "namespace": "n"}],
                "to": [{"group": "", "kind": "Service"}],
            }
        },
        {"spec": {"to": [{"group": "", "kind": "Secret"}]}},
    ),
    Sample(
        "BackendTrafficPolicy",
        "gateway.envoyproxy.io/v1alpha1",
        "backendtrafficpolicies",
        {"spec": {"targetRefs": [_TARGET], "loadBalancer": _HASH}},
        {"spec": {"targetRefs": [{**_TARGET, "name": "s"}]}},
        has_status=True,
    ),
    Sample(
        "ServingRuntime",
        "serving.kserve.io/v1alpha1",
        "servingruntimes",
        {"spec": _RUNTIME},
        {"spec": {"disabled": True}},
    ),
    Sample(
        "ClusterServingRuntime",
        "serving.kserve.io/v1alpha1",
        "clusterservingruntimes",
        {"spec": _RUNTIME},
        {"spec": {"disabled": True}},
        namespaced=False,
    ),
    Sample(
        "InferenceService",
        "serving.kserve.io/v1beta1",
        "inferenceservices",
        {"spec": {"predictor": _MODEL}},
        {"spec": {"predictor": {"minReplicas": 2}}},
        has_status=True,
    ),
    Sample(
        "Turnout",
        "turnout.dev/v1alpha1",
        "turnouts",
        {"spec": {"challengers": ["a-v1"]}},
        {"spec": {"challengers": ["a-v2"]}},
        has_status=True,
    ),
)
BY_KIND = {sample.kind: sample for sample in SAMPLES}
