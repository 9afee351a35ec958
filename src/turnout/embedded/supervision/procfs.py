"""What Linux says about processes: who lives, since when, with how much memory, and which of them are ours.

A process is known by its pid and its start time together: pids are given out again, the pair is not (until the machine
restarts, and then the boot id differs).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MARKER", "Identity", "Memory", "boot_id", "identify", "is_alive", "leaders", "marked", "memory"]

MARKER = "TURNOUT_PROCESS"  # in the environment of everything that the engine starts: the path of its record

_PROC = Path("/proc")
_STATE, _SESSION, _START = 0, 3, 19  # fields of /proc/PID/stat, counted from behind the command's closing bracket
_DEAD = frozenset("ZXx")


@dataclass(frozen=True)
class Identity:
    """One process, never mistaken for a later one with the same pid."""

    pid: int
    start: int  # clock ticks after boot
    boot: str


@dataclass(frozen=True)
class Memory:
    """Resident memory in megabytes; `pss_mb` divides shared pages among those who share them."""

    rss_mb: float
    pss_mb: float


def boot_id() -> str:
    """A name for this run of the machine."""
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def identify(pid: int) -> Identity | None:
    """The living process of this pid; None when there is none, or only an unreaped corpse."""
    fields = _stat(pid)
    if fields is None or fields[_STATE] in _DEAD:
        return None
    return Identity(pid=pid, start=int(fields[_START]), boot=boot_id())


def is_alive(identity: Identity) -> bool:
    """Whether exactly this process still runs."""
    return identify(identity.pid) == identity


def memory(pid: int) -> Memory | None:
    """What a process holds in memory; None when it is gone."""
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes_kb = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    return Memory(rss_mb=round(sizes_kb.get("Rss", 0) / 1024, 1), pss_mb=round(sizes_kb.get("Pss", 0) / 1024, 1))


def marked(marker_prefix: str) -> Iterator[tuple[Identity, str]]:
    """Living processes whose marker begins like this, with their markers; children inherit their parent's."""
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        marker = _marker(int(folder.name))
        if marker.startswith(marker_prefix) and (identity := identify(int(folder.name))) is not None:
            yield identity, marker


def leaders(marker_prefix: str) -> Iterator[tuple[Identity, str]]:
    """Those of the marked processes that lead a session.

    The engine starts each process in a session of its own, so this finds what was started in the instant before the
    engine died, with no record written yet. What those processes started themselves belongs to them.
    """
    for identity, marker in marked(marker_prefix):
        fields = _stat(identity.pid)
        if fields is not None and int(fields[_SESSION]) == identity.pid:
            yield identity, marker


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _marker(pid: int) -> str:
    try:
        variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # gone meanwhile, or somebody else's
        return ""
    name = f"{MARKER}=".encode()
    return next((os.fsdecode(variable.removeprefix(name)) for variable in variables if variable.startswith(name)), "")
