"""`make deploy` against stand-ins: care, secrets, and what it says when something is missing."""

from __future__ import annotations

import base64
import json

import pytest

from cluster import care, deploying, secrets
from cluster.tools import Problem
from tests.cluster.conftest import StandIns


@pytest.fixture
def cluster(stand_ins: StandIns) -> StandIns:
    stand_ins.answers["config current-context"] = "kind-turnout"
    stand_ins.answers["kustomize"] = "kind: List"
    stand_ins.answers["get deployments,statefulsets"] = json.dumps({"items": []})
    for name in deploying._NEEDED:
        stand_ins.objects[f"crd/{name}"] = {"kind": "CustomResourceDefinition"}
    stand_ins.ready()
    return stand_ins


@pytest.fixture(autouse=True)
def _no_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploying, "upload_samples", lambda: None)


def test_a_kind_cluster_is_deployed_without_a_question(cluster: StandIns) -> None:
    deploying.deploy()
    assert cluster.calls("overlays/kind")


def test_somebody_elses_cluster_is_not_touched_without_its_name(
    cluster: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.answers["config current-context"] = "company-production"
    cluster.ready()
    with pytest.raises(Problem, match="CONTEXT=company-production"):
        deploying.deploy()
    assert not cluster.calls("apply")
    monkeypatch.setenv("CONTEXT", "company-production")
    assert care.confirm("deploy") == "company-production"
    monkeypatch.setenv("CONTEXT", "another")
    with pytest.raises(Problem):
        care.confirm("deploy")


def test_without_a_context_it_says_how_to_get_a_cluster(cluster: StandIns) -> None:
    cluster.fails["config current-context"] = "error: current-context is not set"
    cluster.ready()
    with pytest.raises(Problem, match="make cluster"):
        deploying.deploy()


def test_what_the_cluster_lacks_is_said_before_anything_is_made(cluster: StandIns) -> None:
    for name in [name for name in cluster.objects if "serving" in name or "envoy" in name]:
        del cluster.objects[name]
    cluster.ready()
    with pytest.raises(Problem, match="lacks Envoy Gateway, KServe; `make cluster`"):
        deploying.deploy()
    assert not cluster.calls("apply")


def test_passwords_are_made_once_and_never_on_a_command_line(cluster: StandIns) -> None:
    deploying.deploy()
    cluster.forget()
    first = cluster.objects["secret/turnout-database"]["data"]["ledger"]
    password = base64.b64decode(first).decode().split(":")[2].split("@")[0]
    assert len(password) >= 32
    cluster.ready()
    deploying.deploy()
    assert password not in "".join(cluster.calls())
    cluster.forget()
    assert cluster.objects["secret/turnout-database"]["data"]["ledger"] == first


def test_production_makes_no_passwords_and_says_which_are_missing(
    cluster: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTEXT", "company")
    cluster.answers["config current-context"] = "company"
    token = base64.b64encode(b"t").decode()
    cluster.objects["secret/turnout-ledger"] = {"data": {"token": token}}
    cluster.objects["secret/turnout-database"] = {"data": {"ledger": token}}
    cluster.ready()
    with pytest.raises(Problem) as caught:
        deploying.deploy()
    assert "turnout-database (mlflow); turnout-s3 (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)" in str(caught.value)
    assert "secret" not in cluster.stdins().lower()


def test_a_workload_that_does_not_come_up_tells_why(cluster: StandIns) -> None:
    labels = {"app.kubernetes.io/name": "turnout-ledger"}
    workload = {
        "kind": "Deployment",
        "metadata": {"name": "turnout-ledger"},
        "spec": {"selector": {"matchLabels": labels}},
    }
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    pod = {"metadata": {"name": "turnout-ledger-1"}, "status": {"containerStatuses": [{"state": waiting}]}}
    cluster.answers["get deployments,statefulsets"] = json.dumps({"items": [workload]})
    cluster.answers["get pods"] = json.dumps({"items": [pod]})
    cluster.fails["rollout status"] = "error: timed out"
    cluster.ready()
    with pytest.raises(Problem, match="turnout-ledger-1: CrashLoopBackOff back-off 10s"):
        deploying.deploy()


def test_predictors_get_their_keys_as_kserve_wants_them(cluster: StandIns) -> None:
    secrets.make()
    secrets.lend("shop")
    cluster.forget()
    lent = cluster.objects["secret/turnout-s3"]
    assert lent["metadata"]["annotations"]["serving.kserve.io/s3-usehttps"] == "0"
    assert cluster.objects["serviceaccount/default"]["secrets"] == [{"name": "turnout-s3"}]
