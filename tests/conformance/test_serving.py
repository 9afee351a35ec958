"""An InferenceService that serves: what people look at while it comes up, and afterwards.

Needs the runtime `turnout-onnx` and the volume `samples`, which the engine has from its start. A cluster needs the
runtime (`make deploy`), and SAMPLES: the folder on its node with what is in src/turnout/embedded/seed/samples; without
them these are skipped.
"""

from __future__ import annotations

import os

import pytest

from tests.conformance.server import Server, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.long]

NAME = "iris-v1"
SERVICE = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {
        "name": NAME,
        "annotations": {
            "turnout.dev/endpoint": "iris",
            "turnout.dev/digest": "sha256:3c5e2d4e6641f00d4682bcb76c55561203b78999ef70d920c33201b446031827",
            "serving.kserve.io/deploymentMode": "Standard",
            "serving.kserve.io/autoscalerClass": "none",
        },
    },
    "spec": {
        "predictor": {
            "minReplicas": 1,
            "model": {
                "modelFormat": {"name": "onnx"},
                "protocolVersion": "v2",
                "runtime": "turnout-onnx",
                "storageUri": "pvc://samples/iris",
            },
        }
    },
}


@pytest.fixture(scope="module")
def ns(server: Server) -> str:
    if server.get("/apis/serving.kserve.io/v1alpha1/clusterservingruntimes/turnout-onnx").status_code != 200:
        pytest.skip("the server has no ClusterServingRuntime turnout-onnx")
    has_claims = server.get("/api/v1/persistentvolumes").status_code == 200
    folder = os.environ.get("SAMPLES", "")
    if has_claims and not folder:
        pytest.skip("SAMPLES names no folder on the cluster's node")
    namespace = server.namespace()
    if has_claims:
        server.volume(namespace, folder)
    path = f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices"
    assert server.post(path, SERVICE).status_code == 201
    server.kubectl("wait", f"isvc/{NAME}", "-n", namespace, "--for=condition=Ready", "--timeout=170s")
    return namespace


def pod(server: Server, ns: str) -> str:
    return server.kubectl("get", "pods", "-n", ns, "-o", "jsonpath={.items[0].metadata.name}")


def test_it_becomes_ready_with_a_url(server: Server, ns: str) -> None:
    said = server.kubectl("get", "isvc", NAME, "-n", ns, "--no-headers").split()
    assert said[0] == NAME
    assert said[1].startswith("http://")
    assert said[2] == "True"


def test_the_rollout_of_its_deployment_is_over(server: Server, ns: str) -> None:
    said = server.kubectl("rollout", "status", f"deployment/{NAME}-predictor", "-n", ns, "--timeout=30s")
    assert "successfully rolled out" in said


def test_the_log_of_its_pod_can_be_cut_dated_and_chosen(server: Server, ns: str) -> None:
    name = pod(server, ns)
    logs = ("logs", name, "-n", ns, "-c", "kserve-container")
    whole = server.kubectl(*logs)
    assert server.kubectl(*logs, "--tail=1") == (whole.splitlines(keepends=True) or [""])[-1]
    dated = server.kubectl(*logs, "--timestamps").splitlines()
    assert len(dated) == len(whole.splitlines())
    assert all(line[4] == "-" and "Z " in line for line in dated)
    assert server.kubectl(*logs, "--since=1h") == whole
    said = server.kubectl(*logs, "--previous", check=False)
    assert "previous terminated container" in said


def test_describe_shows_the_pod(server: Server, ns: str) -> None:
    said = server.kubectl("describe", "pod", pod(server, ns), "-n", ns)
    assert "kserve-container" in said
    assert "Running" in said


def test_a_deleted_pod_is_replaced(server: Server, ns: str) -> None:
    before = pod(server, ns)
    server.kubectl("delete", "pod", before, "-n", ns, "--wait=false")

    def replaced() -> bool:
        names = server.kubectl("get", "pods", "-n", ns, "-o", "jsonpath={.items[*].metadata.name}").split()
        return bool(names) and before not in names

    eventually(replaced)
    server.kubectl("wait", f"isvc/{NAME}", "-n", ns, "--for=condition=Ready", "--timeout=170s")


def test_an_edit_of_its_deployment_is_undone(server: Server, ns: str) -> None:
    server.kubectl("set", "env", f"deployment/{NAME}-predictor", "-n", ns, "HACKED=1")
    env = "jsonpath={.spec.template.spec.containers[0].env[*].name}"
    eventually(lambda: "HACKED" not in server.kubectl("get", f"deployment/{NAME}-predictor", "-n", ns, "-o", env))
