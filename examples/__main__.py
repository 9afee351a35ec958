"""`python -m examples NAME`: an example from its data to an answer of its endpoint, by commands that a person types.

Everything is done through `turnout`; this file only types. What was started keeps running: `turnout down` ends it.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from turnout import settings
from turnout.embedded import lifecycle
from turnout.errors import TurnoutError
from turnout.kube import client

_ROOT = Path(__file__).parents[1]
_CHAMPION_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Example:
    """What is run: a draft out of a table with a label, if there is one, and model.yaml files in their order."""

    specs: tuple[str, ...] = ("model.yaml",)
    draft: tuple[str, str] | None = None


EXAMPLES = {
    "bikes": Example(),
    "clusters": Example(),
    "digits": Example(("forest.yaml", "triple.yaml")),
    "flights": Example(),
    "own-data": Example(draft=("data/tumours.csv", "diagnosis")),
    "text": Example(),
    "wine": Example(),
}


def main(arguments: list[str]) -> int:
    """Run one example; more arguments go to its prepare.py. Returns the exit code."""
    if not arguments or arguments[0] not in EXAMPLES:
        print(f"which example? one of {', '.join(EXAMPLES)}", file=sys.stderr)
        return 2
    name, rest = arguments[0], arguments[1:]
    try:
        return _run(Path("examples", name), EXAMPLES[name], rest)
    except (subprocess.CalledProcessError, TurnoutError) as error:
        if isinstance(error, TurnoutError):
            print(error, file=sys.stderr)
        return 1


def _run(folder: Path, example: Example, rest: list[str]) -> int:
    _typed("python", str(folder / "prepare.py"), *rest)
    if not lifecycle.status(settings.home()).running:
        _typed("turnout", "up", quiet=True)
    if example.draft:
        table, label = example.draft
        output = ("--output", str(folder / "model.yaml"), "--force")
        _typed("turnout", "init", str(folder / table), "--label", label, *output)
    for spec in example.specs:
        _typed("turnout", "run", str(folder / spec))
    questions = json.loads((_ROOT / folder / "question.json").read_text(encoding="utf-8"))
    for endpoint, rows in questions.items():
        _await_champion(endpoint)
        _typed("turnout", "predict", endpoint, json.dumps(rows))
    return 0


def _typed(program: str, *words: str, quiet: bool = False) -> None:
    """Show a command and do it; one that fails has said why.

    Raises:
        CalledProcessError: it failed.
    """
    print(f"+ {shlex.join((program, *words))}", flush=True)
    found = Path(sys.executable) if program == "python" else Path(sys.executable).with_name(program)
    subprocess.run([found, *words], cwd=_ROOT, check=True, stdout=subprocess.DEVNULL if quiet else None)


def _await_champion(endpoint: str) -> None:
    client.connect().wait_until(
        "Turnout",
        endpoint,
        namespace="default",
        holds=lambda turnout: bool((turnout.get("status") or {}).get("champion")),
        what="a champion",
        timeout_s=_CHAMPION_TIMEOUT_S,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
