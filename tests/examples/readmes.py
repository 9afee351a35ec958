"""A README as a test: its commands are typed, and what they print is what it says they print."""

from __future__ import annotations

import doctest
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MAKE = re.compile(r"make example NAME=([\w-]+)")
_RECIPE = "example: $(READY) ## {}\n\t$(BIN)/python -m examples $(NAME)\n"


def commands(readme: Path) -> Iterator[tuple[str, str]]:
    """Each command of a README's console blocks with the output that it promises; `...` stands for anything."""
    for block in _BLOCK.findall(readme.read_text(encoding="utf-8")):
        first, *others = re.split(r"^\$ ", block, flags=re.MULTILINE)
        assert not first, f"{readme}: a console block begins with a command, not with {first!r}"
        for entry in others:
            command, _, output = entry.partition("\n")
            yield command.split("    #")[0].strip(), output


def check(readme: Path, environment: Mapping[str, str], *, timeout_s: float) -> None:
    """Type everything, and compare."""
    for command, promised in commands(readme):
        words = _words(command)
        done = subprocess.run(
            words,
            cwd=ROOT,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
        # make shows what it does before it does it.
        shown = f"{shlex.join(words)}\n{done.stdout}" if _MAKE.fullmatch(command) else done.stdout
        same = doctest.OutputChecker().check_output(promised, shown, doctest.ELLIPSIS)
        assert same, f"{readme.parent.name}: {command} printed\n{done.stdout}\nand its README promises\n{promised}"


def _words(command: str) -> list[str]:
    """What a command starts; `make` would set up a virtual environment of its own, so its recipe is taken."""
    if found := _MAKE.fullmatch(command):
        described = re.escape(_RECIPE).replace(re.escape("{}"), ".*")
        assert re.search(described, (ROOT / "Makefile").read_text(encoding="utf-8"))
        return [sys.executable, "-m", "examples", found[1]]
    program, *words = command.split()
    ours = Path(sys.executable).with_name(program)
    return [str(ours) if ours.exists() else program, *words]
