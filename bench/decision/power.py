"""Bars 4 to 7: how many labels a right verdict takes, against the best test that knows both rates."""

from __future__ import annotations

import numpy as np

from bench.decision import streams
from bench.decision.rows import Row, exact, mean
from bench.decision.streams import Crossings, Options, World

__all__ = ["bar4", "bar5", "bar6", "bar7"]

# (share, drop): canary labels of the growth-rate-optimal test that knows both rates; bar; stretch; z at 80 and 95 %.
_DROPS = {
    (0.05, 0.02): (1521, 1865, None, 1705, 2985),
    (0.05, 0.05): (268, 333, 303, 327, 572),
    (0.05, 0.10): (76, 100, 93, 102, 178),
    (0.20, 0.02): (1808, 2260, None, 1980, 3466),
    (0.20, 0.05): (325, 408, 366, 371, 649),
    (0.20, 0.10): (93, 123, 112, 113, 198),
    (0.50, 0.02): (2955, 3685, None, 3023, 5292),
    (0.50, 0.05): (535, 676, 614, 538, 942),
    (0.50, 0.10): (156, 208, 187, 155, 271),
}
# (share, gain): the oracle's canary labels to promote at a margin of .02; bar; z at 80 and 95 %.
_GAINS = {
    (0.05, 0.0): (1755 / 1.11, 1830, 1464, 2563),
    (0.05, 0.02): (432 / 1.16, 450, 303, 530),
    (0.20, 0.0): (2008 / 1.10, 2090, 1739, 3044),
    (0.20, 0.02): (507 / 1.19, 528, 371, 650),
    (0.50, 0.0): (3099 / 1.13, 3225, 2782, 4870),
    (0.50, 0.02): (787 / 1.24, 820, 632, 1107),
}
_NEVER = 10_000_000
_KEPT: dict[str, list[Crossings]] = {}


def _worlds(effects: dict[tuple[float, float], tuple], sign: int) -> list[World]:
    return [World(shares=(share,), effect=sign * size, horizon=_NEVER) for share, size in effects]


def _rollbacks(scale: float, *, warm: bool, restarts: bool = True) -> list[Crossings]:
    options = Options(promote=False, history=0.9 if warm else None, restarts=restarts)
    what = f"bar4 {'warm' if warm else 'cold'}{'' if restarts else ' without restarts'}"
    key = f"{what} {scale}"
    if key not in _KEPT:
        runs = int((10_000 if restarts else 3_000) * scale)
        cells = [(world, options, runs) for world in _worlds(_DROPS, -1)]
        _KEPT[key] = streams.many(what, cells, seed=4)
    return _KEPT[key]


def _promotions(scale: float) -> list[Crossings]:
    if f"promote {scale}" not in _KEPT:
        cells = [(world, Options(rollback=False), int(6_000 * scale)) for world in _worlds(_GAINS, +1)]
        _KEPT[f"promote {scale}"] = streams.many("bar6", cells, seed=6)
    return _KEPT[f"promote {scale}"]


def _cell(share: float, size: float) -> str:
    return f"{share * 100:.0f}/{100 - share * 100:.0f}, {size * 100:.0f} pt"


def bar4(scale: float = 1.0) -> list[Row]:
    """Canary labels to roll back."""
    rows = []
    kinds = (
        ("cold start", _rollbacks(scale, warm=False), 1, True, ""),
        ("stretch", _rollbacks(scale, warm=True), 2, True, "champion's history known"),
        ("stretch", _rollbacks(scale, warm=True, restarts=False), 2, False, "history known, restarts off"),
    )
    for kind, found, column, counted, note in kinds:
        for (cell, targets), runs in zip(_DROPS.items(), found, strict=True):
            if targets[column] is not None:
                name = f"canary labels to roll back, {kind}, {_cell(*cell)}"
                rows.append(mean("4", name, runs.own, targets[column], note=note, counted=counted))
    return rows


def bar5(scale: float = 1.0) -> list[Row]:
    """The same over those of the oracle."""
    rows = []
    kinds = (
        ("cold start", _rollbacks(scale, warm=False), 1.25, 1.32, True, ""),
        ("stretch", _rollbacks(scale, warm=True), 1.17, 1.23, True, "champion's history known"),
        ("stretch", _rollbacks(scale, warm=True, restarts=False), 1.17, 1.23, False, "history known, restarts off"),
    )
    for kind, found, on_average, at_most, counted, note in kinds:
        ratios = [np.mean(runs.own) / targets[0] for targets, runs in zip(_DROPS.values(), found, strict=True)]
        errors = [
            np.std(runs.own) / len(runs.own) ** 0.5 / targets[0]
            for targets, runs in zip(_DROPS.values(), found, strict=True)
        ]
        runs = len(found[0].own)
        for name, value, target, error in (
            ("mean", np.mean(ratios), on_average, np.linalg.norm(errors) / len(errors)),
            ("largest", max(ratios), at_most, errors[int(np.argmax(ratios))]),
        ):
            row = Row("5", f"ratio to the oracle, {kind}, {name} of 9", target, "<=", float(value), runs, float(error))
            rows.append(Row(**{**row.__dict__, "note": note, "counted": counted}))
    late = 0.0
    for ((share, drop), _), found in zip(_DROPS.items(), _rollbacks(scale, warm=False), strict=True):
        late += np.sum(found.labels > 100 * 0.18 / (drop**2 * share * (1.0 - share)))
    rows.append(exact("5", "runs that do not end within 100 × .18 / (d² s (1 - s)) labels", late, 0))
    return rows


def bar6(scale: float = 1.0) -> list[Row]:
    """Canary labels to promote."""
    found = _promotions(scale)
    rows = [
        mean("6", f"canary labels to promote, {_cell(share, gain)} better", runs.own, targets[1])
        for ((share, gain), targets), runs in zip(_GAINS.items(), found, strict=True)
    ]
    ratios = [np.mean(runs.own) / targets[0] for targets, runs in zip(_GAINS.values(), found, strict=True)]
    rows.append(exact("6", "ratio to the oracle, mean of 6", float(np.mean(ratios)), 1.18))
    rows.append(exact("6", "ratio to the oracle, largest of 6", max(ratios), 1.28))
    return rows


def bar7(scale: float = 1.0) -> list[Row]:
    """The same against tests with a fixed number of labels."""
    rows = []
    for cells, found, columns, limits in (
        (_DROPS, _rollbacks(scale, warm=False), (3, 4), (0.77, 2.0)),
        (_GAINS, _promotions(scale), (2, 3), (0.84, 2.2)),
    ):
        kind = "roll back" if cells is _DROPS else "promote"
        means, tails = [], []
        for targets, runs in zip(cells.values(), found, strict=True):
            means.append(np.mean(runs.own) / targets[columns[1]])
            tails.append(np.quantile(runs.own, 0.8) / targets[columns[0]])
        rows.append(exact("7", f"mean labels to {kind} over fixed-horizon z at 95 %, largest", max(means), limits[0]))
        rows.append(exact("7", f"q80 of labels to {kind} over fixed-horizon z at 80 %, largest", max(tails), limits[1]))
    return rows
