"""Nothing is touched before the user knows which cluster it is."""

from __future__ import annotations

import os
import sys

from cluster.tools import Problem, kubectl, say

__all__ = ["confirm", "context"]


def context() -> str:
    """The context that kubectl would use.

    Raises:
        Problem: there is none.
    """
    try:
        return kubectl("config", "current-context").strip()
    except Problem as error:
        raise Problem("no cluster: KUBECONFIG names no current context; `make cluster` makes one with kind") from error


def confirm(purpose: str) -> str:
    """Say what will be touched, and ask, unless it is a kind cluster, a check node, or the user has named it.

    Raises:
        Problem: the answer is no, or nobody is there to answer.
    """
    name = context()
    say(f"{purpose}: context {name}")
    if name.startswith("kind-") or name == "node" or os.environ.get("CONTEXT") == name:
        return name
    if not sys.stdin.isatty():
        raise Problem(f"context {name} is no kind cluster: say CONTEXT={name} if it is the one that you mean")
    if input(f"{purpose} on {name}? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Problem("nothing was touched")
    return name
