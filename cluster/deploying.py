"""`make deploy`: Turnout into the cluster that kubectl talks to. Safe to repeat; what is there already stays."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from cluster import care, secrets
from cluster.tools import Problem, apply, apply_text, exists, kubectl, output, run, say
from turnout import storage
from turnout.kube import client, discovery

__all__ = ["deploy", "upload_samples"]

_ROOT = Path(__file__).parent.parent
_NEEDED = {
    "httproutes.gateway.networking.k8s.io": "the Gateway API",
    "envoyproxies.gateway.envoyproxy.io": "Envoy Gateway",
    "inferenceservices.serving.kserve.io": "KServe",
    "clusterservingruntimes.serving.kserve.io": "KServe",
}
_WAIT_S = 300
_KFP = "kubeflow"


def deploy(overlay: str = "", *, models: tuple[str, ...] = ("default",)) -> None:
    """Check, then Secrets, then objects, then wait until everything is available.

    Raises:
        Problem: what is missing, or what does not come up and why.
    """
    name = care.confirm("deploy Turnout")
    chosen = overlay or _overlay(name)
    _check()
    rendered = output("kubectl", "kustomize", str(_ROOT / "manifests" / "overlays" / chosen))
    say(f"overlay {chosen}")
    _namespace()
    if chosen == "production":
        secrets.check()
    else:
        secrets.make()
    say("  objects")
    apply_text(rendered)
    for namespace in models:
        secrets.lend(namespace)
    if exists("namespace", _KFP):
        secrets.copy("turnout-s3", _KFP)
    _wait()
    if chosen != "production":
        upload_samples()


def upload_samples() -> None:
    """What kserve/samples/ serves, into the bucket, by the way that every client takes."""
    kube = client.connect()
    os.environ.update(discovery.object_store(kube))
    root = discovery.discover(kube).artifacts_url
    for model in sorted(path for path in (_ROOT / "kserve" / "samples" / "models").iterdir() if path.is_dir()):
        url = storage.join(root, "samples", model.name)
        storage.at(url).upload_folder(model)
        say(f"  {url}")


def _overlay(context: str) -> str:
    if os.environ.get("OVERLAY"):
        return os.environ["OVERLAY"]
    if context == "node":
        return "node"
    if context.startswith("kind-"):
        return "kind-kfp" if exists("namespace", _KFP) else "kind"
    return "production"


def _check() -> None:
    missing = sorted({what for name, what in _NEEDED.items() if not exists("crd", name)})
    if missing:
        raise Problem(
            f"the cluster lacks {', '.join(missing)}; `make cluster` installs all of it with kind, "
            "`make cluster-upstream` into the cluster that kubectl talks to"
        )


def _namespace() -> None:
    if not exists("namespace", secrets.SYSTEM):
        apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": secrets.SYSTEM}})


def _wait() -> None:
    """Until every workload of ours is available; whichever is not, tells why."""
    kinds = "deployments,statefulsets"
    selector = "--selector=app.kubernetes.io/part-of=turnout"
    found = json.loads(kubectl("get", kinds, "--namespace", secrets.SYSTEM, selector, "--output=json"))
    for workload in found["items"]:
        name = f"{workload['kind'].lower()}/{workload['metadata']['name']}"
        try:
            run("kubectl", "rollout", "status", name, "--namespace", secrets.SYSTEM, f"--timeout={_WAIT_S}s")
        except Problem as error:
            raise Problem(f"{name} is not available after {_WAIT_S} s. {_why(workload)}") from error


def _why(workload: dict[str, Any]) -> str:
    """What the containers that do not run say."""
    labels = workload["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    found = json.loads(kubectl("get", "pods", "--namespace", secrets.SYSTEM, "--selector", selector, "--output=json"))
    reasons = []
    for pod in found["items"]:
        for status in pod.get("status", {}).get("containerStatuses") or []:
            for state in (status.get("state") or {}, status.get("lastState") or {}):
                said = state.get("waiting") or state.get("terminated") or {}
                reasons += (
                    [f"{pod['metadata']['name']}: {said.get('reason')} {said.get('message', '')}"] if said else []
                )
    name = workload["metadata"]["name"]
    return f"{'; '.join(reasons) or 'No Pod was made'}. More: kubectl -n {secrets.SYSTEM} logs -l {selector} ({name})"
