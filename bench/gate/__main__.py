"""The offline gate against its bars, simulated: `python -m bench.gate [--scale 1]`; figures in bench/out/gate.json.

Two models answer the same 1,600 rows and disagree in being right on a tenth of them. A candidate that is two points
worse must be stopped 80 times in 100, an equal one must pass 95 times in 100. Every run draws the rows anew and asks
the gate itself, with the paired comparison that the pipeline makes.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from bench.decision.rows import publish, rate, write
from turnout.spec import Gates
from turnout.steps import evaluate_gate, evaluate_statistics
from turnout.steps.evaluate_metrics import METRICS, Answers

ROWS, DISCORDANT, ACCURACY = 1600, 0.10, 0.9
RUNS = 2000


def answers(right: np.ndarray) -> Answers:
    """A model of two classes that is right on these rows."""
    return Answers(np.zeros(len(right), dtype=np.int64), (~right).astype(np.int64))


def pair(random: np.random.Generator, *, rows: int, loss: float) -> tuple[Answers, Answers]:
    """Candidate and champion: a tenth of the rows is right for one of them only, more often for the champion."""
    draw = random.random(rows)
    only_champion, only_candidate = (DISCORDANT + loss) / 2, (DISCORDANT - loss) / 2
    both = ACCURACY - DISCORDANT / 2
    champion = draw < both + only_champion
    candidate = (draw < both) | ((draw >= both + only_champion) & (draw < both + only_champion + only_candidate))
    return answers(candidate), answers(champion)


def decided(random: np.random.Generator, *, rows: int, loss: float) -> tuple[bool, float]:
    """Whether the gate lets the candidate pass, and the smallest loss that it says it would have found."""
    candidate, champion = pair(random, rows=rows, loss=loss)
    gates = Gates()
    compared = evaluate_statistics.compare(
        candidate,
        champion,
        metric=METRICS["accuracy"],
        is_share=True,
        margin=gates.champion.margin,
        alpha=gates.champion.alpha,
        seed=int(random.integers(2**31)),
    )
    score = evaluate_statistics.estimate(candidate, metric=METRICS["accuracy"], is_share=True, seed=0)
    said = evaluate_gate.decide(gates=gates, metric="accuracy", score=score, champion="digits-v1", comparison=compared)
    return said.passed, compared.smallest_effect


def main() -> int:
    """Entry point."""
    options = argparse.ArgumentParser(prog="python -m bench.gate", description=__doc__)
    options.add_argument("--scale", type=float, default=1.0, help="share of the runs (default 1)")
    runs = max(50, round(RUNS * options.parse_args().scale))
    found = []
    for count in (ROWS, ROWS // 4):
        for loss, target in ((0.02, 0.80), (0.0, 0.95)):
            random = np.random.default_rng(1)
            passed, effects = zip(*(decided(random, rows=count, loss=loss) for _ in range(runs)), strict=True)
            hits = ~np.array(passed) if loss else np.array(passed)
            name = f"a candidate {loss:g} worse is stopped" if loss else "an equal candidate passes"
            note = f"{count} paired rows, {DISCORDANT:.0%} discordant; smallest loss named: {np.median(effects):.4f}"
            print(f"{name}, {count} paired rows: {runs} times, {hits.mean():.3f}", flush=True)
            found.append(rate("gate", name, hits, target, ">=", note=note, counted=count == ROWS or not loss))
            write(found, name="gate")
    return 0 if publish(found, name="gate") else 1


if __name__ == "__main__":
    sys.exit(main())
