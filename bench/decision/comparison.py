"""What others would have decided on the same streams: wrong verdicts, requests exposed to a bad challenger, time.

All see the same labels of the same requests in the same order. Turnout runs as shipped (both tests, a look after every
label, a fifth of the level spent on guardrails). The rivals:

* fixed horizon: one look at the number of labels that a one-sided z test for the margin needs at 80 % power;
* repeated z: the same test every 100 labels, each time at 5 %, as a dashboard invites one to;
* threshold: Flagger's shape: every 500 requests the challenger's mean must be at least the champion's known mean at
  the start less the margin; 10 failed checks roll back, 25 checks without that promote;
* SPRT: Wald's test of "equal" against the true effect (or the margin), told the champion's mean at every moment: the
  best possible, and nobody can run it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import orjson
from rich.console import Console
from rich.table import Table

from bench.decision import streams
from bench.decision.rivals import fixed_sample_size, sprt_bounds
from bench.decision.streams import ALPHA, BASE_09, DOWN, MARGIN, STEPS, World
from bench.rows import OUT
from turnout.simulation.kernel import promotion_bets, rollback_bets
from turnout.stats.comparison import GUARDRAIL_WEIGHTS

__all__ = ["Line", "comparison"]

_HORIZON = 30_000
_PER_HOUR = 1000.0
_WORLDS = {
    "constant .9, 20/80": World(base=BASE_09, shares=(0.2,), horizon=_HORIZON),
    "drift .95 to .80, 5/20/50": World(base=DOWN, shares=STEPS, horizon=_HORIZON),
}
_EFFECTS = (0.0, -0.02, -0.05, -0.10)
_Z = 1.6449
_LOOK, _CHECK, _FAILED, _CHECKS = 100, 500, 10, 25


@dataclass(frozen=True)
class Streams:
    """Labels of shape (labels, repetitions), and what only the SPRT may know."""

    assigned: np.ndarray
    y: np.ndarray
    level: np.ndarray
    share: np.ndarray
    effect: float


@dataclass(frozen=True)
class Ends:
    """Per repetition: +1 promoted, -1 rolled back, 0 neither; and the label at which that was known."""

    verdict: np.ndarray
    at: np.ndarray


@dataclass(frozen=True)
class Line:
    """One row of the comparison; means over repetitions. `exposed` are requests that the challenger answered."""

    world: str
    effect: float
    method: str
    rolled_back: float
    promoted: float
    exposed: float
    labels: float
    hours: float
    repetitions: int


def _streams(world: World, effect: float, repetitions: int, seed: int) -> Streams:
    draw = np.random.default_rng(2000 + seed)
    shape = (world.horizon, repetitions)
    share = np.array([world.share(n) for n in range(world.horizon)])
    level = np.array([world.level(n) for n in range(world.horizon)])
    assigned = draw.random(shape, dtype=np.float32) < share[:, None]
    y = draw.random(shape, dtype=np.float32) < level[:, None] + effect * assigned
    return Streams(assigned, y, level, share, effect)


def _first(promote: np.ndarray, rollback: np.ndarray, labels: np.ndarray) -> Ends:
    """The first look at which either says so; rollback wins a tie."""
    either = promote | rollback
    ended = either.any(axis=0)
    look = np.argmax(either, axis=0)
    columns = np.arange(either.shape[1])
    verdict = np.where(rollback[look, columns], -1, np.where(promote[look, columns], 1, 0))
    return Ends(np.where(ended, verdict, 0), np.where(ended, labels[look], labels[-1]))


def _turnout(s: Streams) -> Ends:
    horizon, repetitions = s.y.shape
    worse = rollback_bets(repetitions, alpha=ALPHA * GUARDRAIL_WEIGHTS["outcome"])
    better = promotion_bets(repetitions, margin=MARGIN)
    verdict, at = np.zeros(repetitions, int), np.full(repetitions, horizon)
    need = 1.0 / (ALPHA * GUARDRAIL_WEIGHTS["outcome"])
    for n in range(horizon):
        share, assigned, y = float(s.share[n]), s.assigned[n].astype(float), s.y[n].astype(float)
        worse.update(y=y, assigned=assigned, share=share)
        better.update(y=y, assigned=assigned, share=share)
        down, up = worse.evidence >= need, better.evidence >= 1.0 / ALPHA
        new = (down | up) & (verdict == 0)
        if new.any():
            verdict[new], at[new] = np.where(down[new], -1, 1), n + 1
            if verdict.all():
                break
    return Ends(verdict, at)


def _z(s: Streams, looks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At each look: z of "worse", and of "not worse by the margin"; pooled over everything so far."""
    own, n = np.cumsum(s.assigned, axis=0, dtype=np.int32)[looks], looks[:, None] + 1
    good = np.cumsum(s.assigned & s.y, axis=0, dtype=np.int32)[looks]
    other = np.cumsum(~s.assigned & s.y, axis=0, dtype=np.int32)[looks]
    own_n, other_n = np.maximum(own, 1), np.maximum(n - own, 1)
    p_b, p_a = good / own_n, other / other_n
    pooled = np.clip((good + other) / n, 0.005, 0.995)
    error = np.sqrt(pooled * (1 - pooled) * (1 / own_n + 1 / other_n))
    return (p_a - p_b) / error, (p_b - p_a + MARGIN) / error


def _fixed(s: Streams) -> Ends:
    needed = fixed_sample_size(base=0.9, difference=MARGIN, share=float(s.share.mean()), alpha=ALPHA, power=0.8)
    look = np.array([min(needed, len(s.y)) - 1])
    worse, not_worse = _z(s, look)
    return _first((not_worse >= _Z) & (worse < _Z), worse >= _Z, look + 1)


def _repeated(s: Streams) -> Ends:
    looks = np.arange(_LOOK - 1, len(s.y), _LOOK)
    worse, not_worse = _z(s, looks)
    return _first((not_worse >= _Z) & (worse < _Z), worse >= _Z, looks + 1)


def _threshold(s: Streams) -> Ends:
    checks = len(s.y) // _CHECK
    parts = (checks, _CHECK, s.y.shape[1])
    own = s.assigned[: checks * _CHECK].reshape(parts).sum(axis=1)
    good = (s.assigned & s.y)[: checks * _CHECK].reshape(parts).sum(axis=1)
    failed = np.cumsum(good / np.maximum(own, 1) < s.level[0] - MARGIN, axis=0)
    rollback = failed >= _FAILED
    promote = np.zeros_like(rollback)
    promote[_CHECKS - 1 :] = ~rollback[_CHECKS - 1 :]
    return _first(promote, rollback, (np.arange(checks) + 1) * _CHECK)


def _sprt(s: Streams) -> Ends:
    bad = np.clip(s.level + min(s.effect, -MARGIN), 0.001, 0.999)[:, None]
    good = np.clip(s.level, 0.001, 0.999)[:, None]
    ratio = np.where(s.y, np.log(bad / good), np.log((1 - bad) / (1 - good))) * s.assigned
    path = np.cumsum(ratio, axis=0)
    low, high = sprt_bounds(ALPHA, ALPHA)
    return _first(path <= low, path >= high, np.arange(len(s.y)) + 1)


_METHODS = {
    "Turnout": _turnout,
    "fixed horizon": _fixed,
    "repeated z": _repeated,
    "threshold": _threshold,
    "SPRT (told the rates)": _sprt,
}


def _run(world: World, effect: float, repetitions: int, seed: int) -> dict[str, tuple[np.ndarray, ...]]:
    s = _streams(world, effect, repetitions, seed)
    own = np.cumsum(s.assigned, axis=0, dtype=np.int32)
    found = {}
    for name, method in _METHODS.items():
        ends = method(s)
        found[name] = (ends.verdict, ends.at, own[ends.at - 1, np.arange(repetitions)])
    return found


def comparison(scale: float = 1.0) -> list[Line]:
    """Table, JSON and chart of all methods on the same streams."""
    cells = [(name, effect) for name in _WORLDS for effect in _EFFECTS]
    chunk = max(int(250 * scale), 4)
    jobs = [
        (_WORLDS[name], effect, chunk, 10 * i + part) for i, (name, effect) in enumerate(cells) for part in range(8)
    ]
    found = streams.in_parallel("comparison", _run, jobs)
    lines = []
    for i, (name, effect) in enumerate(cells):
        parts = found[8 * i : 8 * i + 8]
        for method in _METHODS:
            verdict, at, own = (np.concatenate([part[method][k] for part in parts]) for k in range(3))
            rolled_back, promoted = float(np.mean(verdict < 0)), float(np.mean(verdict > 0))
            labels = float(at.mean())
            lines.append(
                Line(
                    name,
                    effect,
                    method,
                    rolled_back,
                    promoted,
                    float(own.mean()),
                    labels,
                    labels / _PER_HOUR,
                    len(verdict),
                )
            )
    _publish(lines)
    return lines


def _publish(lines: list[Line]) -> None:
    OUT.mkdir(exist_ok=True)
    (OUT / "decision-comparison.json").write_bytes(
        orjson.dumps([asdict(line) for line in lines], option=orjson.OPT_INDENT_2)
    )
    table = Table(title=f"the same streams ({lines[0].repetitions:,} each)", title_justify="left", header_style="bold")
    columns = ("stream", "effect", "method", "rolled back", "promoted", "exposed", "labels", "hours")
    for column in columns:
        table.add_column(column, justify="left" if column in ("stream", "method") else "right")
    for line in lines:
        first = line.method == "Turnout"
        table.add_row(
            line.world if first else "",
            f"{line.effect * 100:+.0f} pt" if first else "",
            line.method,
            f"{line.rolled_back:.3f}",
            f"{line.promoted:.3f}",
            f"{line.exposed:,.0f}",
            f"{line.labels:,.0f}",
            f"{line.hours:.1f}",
            end_section=line.method == list(_METHODS)[-1],
        )
    Console(width=140).print(table)
    _draw(lines, OUT / "decision.svg")


def _draw(lines: list[Line], path: Path) -> None:
    """Left: how often an equal or a just too bad challenger is judged wrongly. Right: requests it was shown to."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    colours = dict(zip(_METHODS, ("#1f6f8b", "#b8b8b8", "#d1495b", "#edae49", "#5c5c5c"), strict=True))
    figure, (wrong, exposed) = plt.subplots(1, 2, figsize=(11.5, 4.6), layout="constrained")
    groups = [(world, effect) for world in _WORLDS for effect in (0.0, -0.02)]
    shares = {(li.world, li.effect, li.method): (li.rolled_back, li.promoted, li.exposed) for li in lines}
    _bars(
        wrong,
        colours,
        [f"{'equal,' if not e else '2 pt worse,'}\n{w.split(' ')[0]}" for w, e in groups],
        {m: [100 * shares[w, e, m][0 if not e else 1] for w, e in groups] for m in _METHODS},
        digits=0,
    )
    wrong.axhline(100 * ALPHA, color="black", linewidth=0.8, linestyle="--")
    wrong.annotate("5 %,\npromised", (1.0, 100 * ALPHA), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    wrong.set_ylabel("wrong verdicts, %")
    wrong.set_title("How often it is wrong", loc="left")
    groups = [(world, effect) for world in _WORLDS for effect in (-0.05, -0.10)]
    _bars(
        exposed,
        colours,
        [f"{-100 * e:.0f} pt worse,\n{w.split(' ')[0]}" for w, e in groups],
        {m: [shares[w, e, m][2] for w, e in groups] for m in _METHODS},
        digits=0,
    )
    exposed.set_yscale("log")
    exposed.set_ylabel("requests answered by the bad challenger, mean")
    exposed.set_title("What being right costs", loc="left")
    figure.legend(*wrong.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(path)
    figure.savefig(path.with_suffix(".png"), dpi=120)
    plt.close(figure)


def _bars(axes, colours, groups: list[str], values: dict[str, list[float]], *, digits: int) -> None:  # type: ignore[no-untyped-def]
    width = 0.8 / len(values)
    for k, (method, heights) in enumerate(values.items()):
        at = np.arange(len(groups)) + (k - (len(values) - 1) / 2) * width
        bars = axes.bar(at, heights, width * 0.92, color=colours[method], label=method)
        axes.bar_label(bars, labels=[f"{height:,.{digits}f}" for height in heights], fontsize=7, padding=1)
    axes.set_xticks(np.arange(len(groups)), groups)
    axes.spines[["top", "right"]].set_visible(False)
