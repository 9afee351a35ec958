"""What Turnout stands on, installed in order from the pinned versions.

The cluster is the only memory: a step whose result is there is skipped, so a run that was cut short is run again. Waits
are on conditions of objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster.tools import Problem, apply, kubectl, read, run, say

__all__ = ["Step", "install", "steps", "versions"]

_GITHUB = "https://github.com"
_RAW = "https://raw.githubusercontent.com"
_WAIT = "--timeout=600s"
_SERVER_SIDE = ("apply", "--server-side", "--force-conflicts", "--field-manager=turnout-upstream")


@dataclass(frozen=True)
class Step:
    """One thing to install: what is applied, and what is waited for."""

    name: str
    version: str
    sources: tuple[str, ...]
    waits: tuple[tuple[str, ...], ...]
    after: Callable[[], None] | None = None


def versions() -> dict[str, str]:
    """The pinned versions."""
    return dict(yaml.safe_load((Path(__file__).parent / "versions.yaml").read_text(encoding="utf-8")))


def install(*, kfp: bool) -> None:
    """Everything that is not there yet, in the order in which one needs the other.

    Raises:
        Problem: a step failed; the next run begins with it.
    """
    todo = list(steps(kfp=kfp))
    for number, step in enumerate(todo, start=1):
        title = f"[{number}/{len(todo)}] {step.name} {step.version}"
        if _installed().get(step.name) == step.version:
            say(f"{title}: is there")
            continue
        say(title)
        for source in step.sources:
            option = "--kustomize" if "?ref=" in source or Path(source).is_dir() else "--filename"
            kubectl(*_SERVER_SIDE, option, source)
        if step.after is not None:
            step.after()
        for wait in step.waits:
            run("kubectl", "wait", *wait, _WAIT)
        _mark(step)


def steps(*, kfp: bool) -> Iterator[Step]:
    """What is installed. KServe's webhooks want cert-manager; its routes want the Gateway API."""
    v = versions()
    yield Step(
        "cert-manager",
        v["cert-manager"],
        (f"{_GITHUB}/cert-manager/cert-manager/releases/download/{v['cert-manager']}/cert-manager.yaml",),
        (("deployment", "--all", "--namespace=cert-manager", "--for=condition=Available"),),
    )
    yield Step(
        "gateway-api",
        v["gateway-api"],
        (f"{_GITHUB}/kubernetes-sigs/gateway-api/releases/download/{v['gateway-api']}/standard-install.yaml",),
        (("crd", "httproutes.gateway.networking.k8s.io", "--for=condition=Established"),),
    )
    yield Step(
        "envoy-gateway",
        v["envoy-gateway"],
        (f"{_GITHUB}/envoyproxy/gateway/releases/download/{v['envoy-gateway']}/install.yaml",),
        (("deployment", "envoy-gateway", "--namespace=envoy-gateway-system", "--for=condition=Available"),),
    )
    kserve = f"{_RAW}/kserve/kserve/{v['kserve']}/install/{v['kserve']}"
    yield Step(
        "kserve",
        v["kserve"],
        (f"{kserve}/kserve-crds.yaml", f"{kserve}/kserve.yaml"),
        (("deployment", "kserve-controller-manager", "--namespace=kserve", "--for=condition=Available"),),
        after=_standard_mode,
    )
    yield Step(
        "kserve-cluster-resources",
        v["kserve"],
        (f"{kserve}/kserve-cluster-resources.yaml",),
        (("crd", "inferenceservices.serving.kserve.io", "--for=condition=Established"),),
    )
    if kfp:
        pipelines = f"{_GITHUB}/kubeflow/pipelines/manifests/kustomize/cluster-scoped-resources?ref={v['kfp']}"
        yield Step(
            "kfp-cluster-resources",
            v["kfp"],
            (pipelines,),
            (("crd", "applications.app.k8s.io", "--for=condition=Established"),),
        )
        yield Step(
            "kfp",
            v["kfp"],
            (str(Path(__file__).parent.parent / "manifests" / "upstream" / "kfp"),),
            (("deployment", "--all", "--namespace=kubeflow", "--for=condition=Available"),),
        )


def _standard_mode() -> None:
    """KServe's default is Knative; ours is Standard with the Gateway API, under the domain of our own routes."""
    config = read("configmap", "inferenceservice-config", "kserve")
    if config is None:
        raise Problem("KServe was installed without ConfigMap kserve/inferenceservice-config")
    data = dict(config["data"])
    ingress = _json(data["ingress"])
    ingress |= {"enableGatewayApi": True, "kserveIngressGateway": "kserve/kserve-ingress-gateway"}
    ingress |= {"ingressDomain": "localhost", "disableIstioVirtualHost": True}
    data["ingress"] = json.dumps(ingress)
    data["deploy"] = json.dumps({**_json(data.get("deploy", "{}")), "defaultDeploymentMode": "Standard"})
    metadata = {"name": "inferenceservice-config", "namespace": "kserve"}
    apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    run("kubectl", "rollout", "restart", "deployment/kserve-controller-manager", "--namespace=kserve")
    run("kubectl", "rollout", "status", "deployment/kserve-controller-manager", "--namespace=kserve", _WAIT)


def _json(text: str) -> dict[str, Any]:
    return dict(json.loads(text))


def _installed() -> dict[str, str]:
    found = read("configmap", "turnout-upstream", "default")
    return dict((found or {}).get("data") or {})


def _mark(step: Step) -> None:
    """A step counts as done when its waits are over, not when its objects are there."""
    data = {**_installed(), step.name: step.version}
    metadata = {"name": "turnout-upstream", "namespace": "default"}
    apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
