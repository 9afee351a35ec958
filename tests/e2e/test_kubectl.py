"""The README's kubectl lines, with the real kubectl."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Engine

pytestmark = pytest.mark.e2e


def test_the_samples_are_applied_become_ready_are_patched_and_deleted(engine: Engine) -> None:
    applied = engine.run("kubectl", "apply", "-f", "kserve/samples/").stdout
    assert "inferenceservice.serving.kserve.io/iris-v1 created" in applied
    engine.run("kubectl", "wait", "--for=condition=Ready", "isvc/iris-v1", "--timeout=30s")
    engine.run("kubectl", "wait", "--for=condition=Ready", "turnout/iris", "--timeout=30s")
    listed = engine.run("kubectl", "get", "isvc,turnouts,httproutes").stdout
    assert "URL" in listed
    assert "inferenceservice.serving.kserve.io/iris-v1" in listed
    assert "CHAMPION" in listed
    assert "httproute.gateway.networking.k8s.io/iris-turnout" in listed

    engine.run("kubectl", "patch", "isvc", "iris-v1", "--type=merge", "-p", '{"spec":{"predictor":{"minReplicas":2}}}')
    engine.run(
        "kubectl", "wait", "deployment/iris-v1-predictor", "--for=jsonpath={.status.readyReplicas}=2", "--timeout=30s"
    )
    described = engine.run("kubectl", "describe", "turnout", "iris").stdout
    assert "Adopted" in described

    answer = engine.run("turnout", "predict", "iris", "[[5.1, 3.5, 1.4, 0.2]]").stdout
    assert json.loads(answer)["version"] == "iris-v1"
    assert json.loads(answer)["predictions"] == ["setosa"]

    engine.run("kubectl", "delete", "-f", "kserve/samples/", "--timeout=60s")
    engine.run("kubectl", "wait", "--for=delete", "httproute/iris-turnout", "--timeout=20s")
    assert "iris" not in engine.run("kubectl", "get", "isvc,turnouts,httproutes").stdout


@pytest.mark.parametrize(("field", "value"), [("alpha", "7"), ("onFail", "explode")])
def test_a_turnout_with_a_wrong_policy_is_refused_by_the_api(
    engine: Engine, tmp_path: Path, field: str, value: str
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        "apiVersion: turnout.dev/v1alpha1\nkind: Turnout\nmetadata: {name: wrong, namespace: default}\n"
        f"spec: {{policy: {{{field}: {value}}}}}\n"
    )
    refused = engine.run("kubectl", "apply", "-f", str(wrong), check=False)
    assert refused.returncode == 1
    assert f"spec.policy.{field}" in refused.stderr
