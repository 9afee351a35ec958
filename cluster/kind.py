"""`make cluster` and `make cluster-down`: a kind cluster with everything in it."""

from __future__ import annotations

import os
from pathlib import Path

from cluster import checking, deploying, upstream
from cluster.tools import Problem, output, run, say

__all__ = ["down", "up"]

_ROOT = Path(__file__).parent.parent
_NAME = "turnout"


def up(*, kfp: bool) -> None:
    """From nothing to an installed Turnout; run again, it goes on where it stopped.

    Raises:
        Problem: what is missing, or which step failed.
    """
    has_cluster = _NAME in _clusters()
    checking.check(has_cluster=has_cluster)
    if checking.container_tool() == "podman":
        os.environ["KIND_EXPERIMENTAL_PROVIDER"] = "podman"
    if has_cluster:
        say(f"kind cluster {_NAME}: is there")
        run("kind", "export", "kubeconfig", "--name", _NAME)
    else:
        image = upstream.versions()["kind-node"]
        config = str(_ROOT / "kind-config.yaml")
        run("kind", "create", "cluster", "--name", _NAME, "--config", config, "--image", image, "--wait", "300s")
    say("images")
    names = ("predictor", "pipeline", "control")
    run(str(_ROOT / "images" / "build.sh"), *names)
    run(str(_ROOT / "images" / "load.sh"), *names)
    upstream.install(kfp=kfp)
    deploying.deploy("kind-kfp" if kfp else "kind")


def down() -> None:
    """Delete the cluster and everything in it."""
    if _NAME not in _clusters():
        say(f"kind has no cluster {_NAME}")
        return
    run("kind", "delete", "cluster", "--name", _NAME)


def _clusters() -> list[str]:
    try:
        return output("kind", "get", "clusters").split()
    except Problem:
        return []  # no kind, or no engine: the check says so
