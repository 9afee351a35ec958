"""kubectl against the embedded API, as people use it."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.embedded.apiserver import Served, served

pytestmark = pytest.mark.e2e

_NUMBERS = itertools.count()

SERVICE = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: digits-v1}
spec: {predictor: {minReplicas: 1, model: {modelFormat: {name: onnx}, storageUri: "file:///models/1"}}}
"""
BOTH = f"""{SERVICE}---
apiVersion: turnout.dev/v1alpha1
kind: Turnout
metadata: {{name: digits}}
spec: {{challengers: [digits-v1]}}
"""


class Kubectl:
    """kubectl with a kubeconfig and a namespace of its own."""

    def __init__(self, server: Served, cache: Path) -> None:
        self._server = server
        self._environment = {**os.environ, "KUBECONFIG": str(server.kubeconfig), "KUBECACHEDIR": str(cache)}
        found = shutil.which("kubectl", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        assert found is not None
        self._program = found
        self.namespace = "default"

    def run(self, *words: str, stdin: str = "", editor: str = "false") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, "-n", self.namespace, *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env={**self._environment, "KUBE_EDITOR": editor},
        )

    def done(self, *words: str, stdin: str = "", editor: str = "false") -> str:
        """The output of a command that must succeed."""
        ended = self.run(*words, stdin=stdin, editor=editor)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("api")) as server:
        yield server


@pytest.fixture
def kubectl(server: Served, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    kubectl = Kubectl(server, tmp_path_factory.mktemp("cache"))
    name = f"test-{next(_NUMBERS)}"
    kubectl.done("create", "namespace", name)
    kubectl.namespace = name
    return kubectl


def test_apply_says_created_unchanged_and_configured(kubectl: Kubectl) -> None:
    words = ("inferenceservice.serving.kserve.io/digits-v1", "turnout.turnout.dev/digits")
    assert kubectl.done("apply", "-f", "-", stdin=BOTH).split("\n")[:2] == [f"{word} created" for word in words]
    assert kubectl.done("apply", "-f", "-", stdin=BOTH).split("\n")[:2] == [f"{word} unchanged" for word in words]
    changed = SERVICE.replace("models/1", "models/2")
    assert kubectl.done("apply", "-f", "-", stdin=changed) == f"{words[0]} configured\n"


def test_get_shows_the_columns_of_each_kind(kubectl: Kubectl) -> None:
    kubectl.done("apply", "-f", "-", stdin=BOTH)
    kubectl.done(
        "patch", "isvc/digits-v1", "--subresource=status", "--type=merge", "-p", '{"status":{"url":"http://x"}}'
    )
    header, row = kubectl.done("get", "isvc").splitlines()
    assert header.split() == [
        "NAME",
        "URL",
        "READY",
        "PREV",
        "LATEST",
        "PREVROLLEDOUTREVISION",
        "LATESTREADYREVISION",
        "AGE",
    ]
    assert row.split()[:2] == ["digits-v1", "http://x"]
    assert kubectl.done("get", "to").split()[:7] == ["NAME", "URL", "CHAMPION", "CHALLENGER", "SHARE", "PHASE", "AGE"]
    assert "digits-v1" in kubectl.done("get", "isvc,turnouts,httproutes", "--all-namespaces")
    assert "turnout.turnout.dev/digits" in kubectl.done("get", "all")


def test_a_server_side_apply_names_the_manager_in_conflict(kubectl: Kubectl) -> None:
    kubectl.done("apply", "--server-side", "-f", "-", stdin=SERVICE)
    changed = SERVICE.replace("models/1", "models/2")
    refused = kubectl.run("apply", "--server-side", "--field-manager=robot", "-f", "-", stdin=changed)
    assert 'conflict with "kubectl": .spec.predictor.model.storageUri' in refused.stderr
    kubectl.done("apply", "--server-side", "--field-manager=robot", "--force-conflicts", "-f", "-", stdin=changed)
    shown = yaml.safe_load(kubectl.done("get", "isvc", "digits-v1", "-o", "yaml"))
    assert shown["spec"]["predictor"]["model"]["storageUri"] == "file:///models/2"


def test_diff_shows_what_would_change(kubectl: Kubectl) -> None:
    kubectl.done("apply", "-f", "-", stdin=SERVICE)
    assert kubectl.run("diff", "-f", "-", stdin=SERVICE).returncode == 0
    changed = kubectl.run("diff", "-f", "-", stdin=SERVICE.replace("minReplicas: 1", "minReplicas: 2"))
    assert (changed.returncode, "+    minReplicas: 2" in changed.stdout) == (1, True)


def test_patch_edit_label_and_annotate_change_an_object(kubectl: Kubectl) -> None:
    kubectl.done("apply", "-f", "-", stdin=SERVICE)
    kubectl.done("patch", "isvc/digits-v1", "--type=merge", "-p", '{"spec":{"predictor":{"minReplicas":2}}}')
    replace = '[{"op":"replace","path":"/spec/predictor/minReplicas","value":3}]'
    kubectl.done("patch", "isvc/digits-v1", "--type=json", "-p", replace)
    kubectl.done("label", "isvc/digits-v1", "x=1")
    kubectl.done("annotate", "isvc/digits-v1", "note=hello there")
    kubectl.done("edit", "isvc/digits-v1", editor="sed -i s/minReplicas:.3/minReplicas:\\ 4/")
    shown = yaml.safe_load(kubectl.done("get", "isvc", "digits-v1", "-o", "yaml"))
    assert shown["spec"]["predictor"]["minReplicas"] == 4
    assert shown["metadata"]["labels"] == {"x": "1"}
    assert shown["metadata"]["generation"] == 4


def test_a_misspelt_field_is_refused(kubectl: Kubectl) -> None:
    refused = kubectl.run("apply", "-f", "-", stdin=SERVICE.replace("storageUri", "storageURI"))
    assert 'strict decoding error: unknown field "spec.predictor.model.storageURI"' in refused.stderr


def test_wait_sees_conditions_and_deletions(kubectl: Kubectl) -> None:
    kubectl.done("apply", "-f", "-", stdin=SERVICE)
    late = kubectl.run("wait", "isvc/digits-v1", "--for=condition=Ready", "--timeout=1s")
    assert (late.returncode, "timed out waiting for the condition" in late.stderr) == (1, True)
    ready = '{"status":{"observedGeneration":1,"conditions":[{"type":"Ready","status":"True"}]}}'
    kubectl.done("patch", "isvc/digits-v1", "--subresource=status", "--type=merge", "-p", ready)
    assert kubectl.done("wait", "isvc/digits-v1", "--for=condition=Ready", "--timeout=10s").endswith("condition met\n")
    kubectl.done("delete", "isvc/digits-v1", "--wait=false")
    kubectl.done("wait", "isvc/digits-v1", "--for=delete", "--timeout=10s")


def test_describe_tells_of_events(kubectl: Kubectl) -> None:
    kubectl.done("apply", "-f", "-", stdin=SERVICE)
    uid = kubectl.done("get", "isvc/digits-v1", "-o", "jsonpath={.metadata.uid}")
    about = {"kind": "InferenceService", "name": "digits-v1", "namespace": kubectl.namespace, "uid": uid}
    metadata = {"name": "e", "namespace": kubectl.namespace}
    event = {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "reason": "Tested", "involvedObject": about}
    kubectl.done("create", "-f", "-", stdin=yaml.safe_dump({**event, "message": "it was", "type": "Normal"}))
    shown = kubectl.done("describe", "isvc", "digits-v1")
    assert "Min Replicas:  1" in shown
    assert "Tested" in shown


def test_explain_knows_the_fields(kubectl: Kubectl) -> None:
    shown = kubectl.done("explain", "turnouts.spec.policy.alpha")
    assert "FIELD: alpha <number>" in shown
    assert "Chance of a wrong promotion" in shown
    assert "storageUri" in kubectl.done("explain", "isvc.spec.predictor.model")


def test_built_in_objects_are_created_from_literals(kubectl: Kubectl) -> None:
    kubectl.done("create", "configmap", "a", "--from-literal=k=v")
    kubectl.done("create", "secret", "generic", "s", "--from-literal=user=me")
    assert kubectl.done("get", "cm", "a", "-o", "jsonpath={.data.k}") == "v"
    assert kubectl.done("get", "secret", "s", "-o", "jsonpath={.data.user}") == "bWU="


def test_a_watch_prints_what_is_there(kubectl: Kubectl) -> None:
    kubectl.done("create", "configmap", "a")
    shown = kubectl.run("get", "cm", "-w", "--output-watch-events", "--request-timeout=2s").stdout
    assert ["ADDED", "a", "0"] in [line.split()[:3] for line in shown.splitlines()]


def test_logs_of_a_pod_are_printed(kubectl: Kubectl, server: Served) -> None:
    container = {"name": "kserve-container"}
    metadata = {"name": "p", "namespace": kubectl.namespace}
    server.store.create("Pod", {"metadata": metadata, "spec": {"containers": [container]}})
    assert kubectl.done("logs", "p", "--tail=2") == "two\nthree\n"
    assert kubectl.done("logs", "-f", "p").endswith("and on\n")


def test_a_deleted_namespace_takes_its_objects_along(kubectl: Kubectl) -> None:
    kubectl.done("apply", "-f", "-", stdin=BOTH)
    kubectl.done("delete", "namespace", kubectl.namespace, "--timeout=20s")
    assert "No resources found" in kubectl.run("get", "isvc").stderr


def test_api_resources_are_listed(kubectl: Kubectl) -> None:
    names = kubectl.done("api-resources", "-o", "name").split()
    assert {"inferenceservices.serving.kserve.io", "turnouts.turnout.dev", "configmaps", "pods"} <= set(names)
