"""The install script against recording stand-ins: order, pins, resuming, and what it says when something fails."""

from __future__ import annotations

import json

import pytest

from cluster import upstream
from cluster.tools import Problem
from tests.cluster.conftest import StandIns

CONFIG = {
    "kind": "ConfigMap",
    "metadata": {"name": "inferenceservice-config"},
    "data": {"ingress": json.dumps({"ingressGateway": "knative/x", "enableGatewayApi": False}), "deploy": "{}"},
}


@pytest.fixture
def cluster(stand_ins: StandIns) -> StandIns:
    stand_ins.objects["configmap/inferenceservice-config"] = CONFIG
    stand_ins.ready()
    return stand_ins


def applied(cluster: StandIns) -> list[str]:
    return [line.split()[-1] for line in cluster.calls("turnout-upstream --filename https")]


def test_everything_is_installed_in_the_order_in_which_one_needs_the_other(cluster: StandIns) -> None:
    upstream.install(kfp=False)
    names = ["cert-manager.yaml", "standard-install.yaml", "install.yaml", "kserve-crds.yaml", "kserve.yaml"]
    assert [url.rpartition("/")[2] for url in applied(cluster)] == [*names, "kserve-cluster-resources.yaml"]


def test_every_address_holds_its_pinned_version_and_none_is_latest(cluster: StandIns) -> None:
    versions = upstream.versions()
    for step in upstream.steps(kfp=True):
        for source in step.sources:
            assert "latest" not in source
            if source.startswith("https://"):
                assert step.version in source, source
    assert {step.version for step in upstream.steps(kfp=True)} == set(versions.values()) - {versions["kind-node"]}


def test_it_waits_on_conditions_of_what_it_installed(cluster: StandIns) -> None:
    upstream.install(kfp=False)
    waits = cluster.calls("kubectl wait")
    assert len(waits) == len(list(upstream.steps(kfp=False)))
    assert all("--for=condition=" in line and "--timeout=" in line for line in waits)


def test_kserve_is_put_into_standard_mode_with_the_gateway_api(cluster: StandIns) -> None:
    upstream.install(kfp=False)
    cluster.forget()
    data = cluster.objects["configmap/inferenceservice-config"]["data"]
    assert json.loads(data["deploy"]) == {"defaultDeploymentMode": "Standard"}
    ingress = json.loads(data["ingress"])
    assert ingress["enableGatewayApi"] is True
    assert ingress["ingressDomain"] == "localhost"
    assert ingress["ingressGateway"] == "knative/x"


def test_a_second_run_finds_everything_there(cluster: StandIns, capsys: pytest.CaptureFixture[str]) -> None:
    upstream.install(kfp=False)
    cluster.forget()
    cluster.ready()
    upstream.install(kfp=False)
    assert applied(cluster) == []
    assert capsys.readouterr().out.count(": is there") == len(list(upstream.steps(kfp=False)))


def test_a_run_that_was_cut_short_goes_on_with_the_step_that_failed(cluster: StandIns) -> None:
    cluster.fails["releases/download/v1.9.1"] = "error: unable to read URL"
    cluster.ready()
    with pytest.raises(Problem, match="unable to read URL"):
        upstream.install(kfp=False)
    assert len(applied(cluster)) == 3
    cluster.forget()
    cluster.fails.clear()
    cluster.ready()
    upstream.install(kfp=False)
    assert applied(cluster)[0].endswith("v1.9.1/install.yaml")
    assert len(applied(cluster)) == 4


def test_a_step_whose_pods_do_not_come_up_is_not_done(cluster: StandIns) -> None:
    cluster.fails["--namespace=cert-manager"] = "error: timed out waiting for the condition"
    cluster.ready()
    with pytest.raises(Problem, match="kubectl wait"):
        upstream.install(kfp=False)
    cluster.forget()
    assert "configmap/turnout-upstream" not in cluster.objects


def test_a_new_pin_installs_that_step_again(cluster: StandIns, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream.install(kfp=False)
    cluster.forget()
    cluster.ready()
    newer = {**upstream.versions(), "gateway-api": "v1.6.0"}
    monkeypatch.setattr(upstream, "versions", lambda: newer)
    upstream.install(kfp=False)
    assert [url for url in applied(cluster) if "v1.6.0" in url] == applied(cluster)
