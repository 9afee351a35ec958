"""Other people's programs, started with what they need and told apart when they fail."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["Problem", "apply", "apply_text", "exists", "kubectl", "output", "program", "read", "run", "say"]


class Problem(Exception):
    """What stops us, in a sentence that says what to do."""


def say(text: str) -> None:
    """A line of progress."""
    print(text, flush=True)


def run(*command: str, stdin: str | None = None) -> None:
    """Run a program that talks to the user itself.

    Raises:
        Problem: it failed; it has said why.
    """
    try:
        subprocess.run(_found(command), input=stdin, text=True, check=True)
    except subprocess.CalledProcessError as error:
        raise Problem(f"`{' '.join(command[:4])} ...` failed with exit code {error.returncode}") from error


def output(*command: str, stdin: str | None = None) -> str:
    """What a program prints.

    Raises:
        Problem: it failed; the message repeats what it said.
    """
    found = subprocess.run(_found(command), input=stdin, text=True, capture_output=True, check=False)
    if found.returncode:
        said = (found.stderr.strip() or found.stdout.strip()).splitlines()
        raise Problem(f"`{' '.join(command[:5])}`: {said[-1] if said else f'exit code {found.returncode}'}")
    return found.stdout


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """What kubectl prints."""
    return output("kubectl", *arguments, stdin=stdin)


def read(kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
    """An object of the cluster; None when there is none."""
    place = ("--namespace", namespace) if namespace else ()
    text = kubectl("get", kind, name, *place, "--ignore-not-found", "--output=json")
    return dict(json.loads(text)) if text.strip() else None


def exists(kind: str, name: str, namespace: str = "") -> bool:
    """Whether the cluster has an object."""
    return read(kind, name, namespace) is not None


def apply(*objects: dict[str, Any]) -> None:
    """Server-side apply. Through standard input: what is in a Secret is on no command line."""
    apply_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def apply_text(text: str) -> None:
    """The same for YAML."""
    kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=turnout", "--filename=-", stdin=text)


def program(name: str) -> str:
    """Where a program is; kubectl and others may be in our own environment only.

    Raises:
        Problem: there is none of that name.
    """
    beside = Path(sys.executable).parent / name
    found = shutil.which(name) or (str(beside) if beside.exists() else "")
    if not found:
        raise Problem(f"wanted {name} on PATH, found none")
    return found


def _found(command: Sequence[str]) -> list[str]:
    return [program(command[0]), *command[1:]]
