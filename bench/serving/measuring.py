"""Interleaved rounds: A B C A B C, so that what else the machine does meets all alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console

__all__ = ["Point", "Samples", "interleave", "ratios", "say"]

Sample = TypeVar("Sample")
_console = Console(stderr=True)


@dataclass(frozen=True)
class Point:
    """One thing that is measured again in every round. `setting` groups what is comparable."""

    server: str
    setting: str


Samples = Mapping[Point, Sequence[float]]


def say(text: str) -> None:
    """Progress, for the person who waits."""
    _console.print(f"[dim]{text}[/dim]", highlight=False)


def interleave(points: Mapping[Point, Callable[[], float]], *, rounds: int, title: str) -> dict[Point, list[float]]:
    """Measure every point once a round; the first round warms up and is thrown away."""
    found: dict[Point, list[float]] = {point: [] for point in points}
    for number in range(rounds + 1):
        for point, measure in points.items():
            value = measure()
            if number:
                found[point].append(value)
        say(f"{title}: round {number} of {rounds}" if number else f"{title}: warmed up")
    for point, values in found.items():
        spread = f"[{min(values):.4g} to {max(values):.4g}]"
        say(f"  {point.server}, {point.setting}: {statistics.median(values):.4g} {spread}")
    return found


def ratios(samples: Samples, ours: Point, theirs: Point) -> list[float]:
    """Ours by theirs, round by round."""
    return [a / b for a, b in zip(samples[ours], samples[theirs], strict=True)]
