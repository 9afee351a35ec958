"""Stand-ins of docker, kind and kubectl: programs on PATH that note how they were called and answer as told."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_PROGRAM = """#!{python} -IS
import json, sys
here, name = {folder!r} + "/", {name!r}
words = sys.argv[1:]
stdin = "" if sys.stdin is None or sys.stdin.isatty() or "-" not in " ".join(words) else sys.stdin.read()
with open(here + "calls", "a") as file:
    file.write(json.dumps([name, words, stdin]) + "\\n")
state = json.loads(open(here + "state").read())
line = " ".join([name, *words])
for part, sentence in state["fails"].items():
    if part in line:
        print(sentence, file=sys.stderr)
        sys.exit(1)
for part, text in state["answers"].items():
    if part in line:
        print(text)
        sys.exit(0)
if name == "kubectl" and "--filename=-" in words and stdin.startswith("{{"):
    for obj in json.loads(stdin)["items"]:
        state["objects"][f"{{obj['kind'].lower()}}/{{obj['metadata']['name']}}"] = obj
    open(here + "state", "w").write(json.dumps(state))
if name == "kubectl" and words[0] == "get" and "--ignore-not-found" in words:
    found = state["objects"].get(f"{{words[1]}}/{{words[2]}}")
    print(json.dumps(found) if found else "")
"""


@dataclass
class StandIns:
    """What the programs answer, and what they were asked."""

    folder: Path
    answers: dict[str, str] = field(default_factory=dict)
    fails: dict[str, str] = field(default_factory=dict)
    objects: dict[str, Any] = field(default_factory=dict)

    def ready(self) -> None:
        """Let them know."""
        state = {"answers": self.answers, "fails": self.fails, "objects": self.objects}
        (self.folder / "state").write_text(json.dumps(state))

    def calls(self, containing: str = "") -> list[str]:
        """Command lines, in order."""
        if not (self.folder / "calls").exists():
            return []
        lines = [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]
        found = [" ".join([name, *words]) for name, words, _ in lines]
        return [line for line in found if containing in line]

    def stdins(self) -> str:
        """Everything that was given to them by standard input."""
        return "".join(json.loads(line)[2] for line in (self.folder / "calls").read_text().splitlines())

    def forget(self) -> None:
        """Forget the calls, not the cluster's objects."""
        self.objects = json.loads((self.folder / "state").read_text())["objects"]
        (self.folder / "calls").unlink()


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    found = StandIns(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("docker", "kind", "kubectl"):
        program = programs / name
        program.write_text(_PROGRAM.format(python=sys.executable, folder=str(tmp_path), name=name))
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.delenv("CONTEXT", raising=False)
    monkeypatch.delenv("OVERLAY", raising=False)
    found.ready()
    return found
