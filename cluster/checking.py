"""What must be there before anything is made; all of it is looked at, so that one answer lists all that is missing."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from cluster.tools import Problem, output

__all__ = ["check", "container_tool"]

_PORT = 8080
_MEMORY_GB = 8


def check(*, has_cluster: bool) -> None:
    """Programs, memory and the gateway's port, before a cluster is made here.

    Raises:
        Problem: lists everything that is missing.
    """
    found = list(_missing(has_cluster=has_cluster))
    if found:
        raise Problem("this machine is not ready:" + "".join(f"\n  - {sentence}" for sentence in found))


def container_tool() -> str:
    """docker or podman, the first whose engine answers; empty without."""
    for tool in ("docker", "podman"):
        if shutil.which(tool) is None:
            continue
        try:
            output(tool, "info")
        except Problem:
            continue
        return tool
    return ""


def _missing(*, has_cluster: bool) -> Iterator[str]:
    if not container_tool():
        yield "docker or podman with its engine running: kind's node is a container"
    if shutil.which("kind") is None:
        yield "kind: https://kind.sigs.k8s.io/docs/user/quick-start/#installation"
    memory_gb = _memory_gb()
    if memory_gb and memory_gb < _MEMORY_GB:
        yield f"{_MEMORY_GB} GB of memory; there are {memory_gb:.0f}"
    if not has_cluster and not _is_free(_PORT):
        yield f"port {_PORT} on 127.0.0.1, for the gateway; something listens there (`turnout down`?)"


def _memory_gb() -> float:
    """0 where Linux's file is not; there kind's engine has its own limit anyway."""
    try:
        first = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return 0.0
    return int(first.split()[1]) / 1024 / 1024


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
