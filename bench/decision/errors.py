"""Bars 1 to 3: how often the verdict is wrong, with a look after every label."""

from __future__ import annotations

from dataclasses import replace

from bench.decision import streams
from bench.decision.rows import Row, rate
from bench.decision.streams import ALPHA, BASE_09, DOWN, MARGIN, STEPS, UP, Options, World

__all__ = ["bar1", "bar2", "bar3"]

_DRIFTS = {
    "drift .95 to .80, 5/20/50": World(base=DOWN, shares=STEPS),
    "drift .80 to .95, 5/20/50": World(base=UP, shares=STEPS),
}
_OTHERS = {
    "wobble .875 ± .07, 5/20/50": (World(base=(0.875, 0.875), wobble=0.07, shares=STEPS), 20_000),
    "constant .9, 5/95": (World(base=BASE_09, shares=(0.05,)), 6_000),
    "constant .9, 50/50": (World(base=BASE_09, shares=(0.5,)), 6_000),
    "constant .99, 5/95": (World(base=(0.99, 0.99), shares=(0.05,)), 6_000),
}
_WORLDS = {**{name: (world, 20_000) for name, world in _DRIFTS.items()}, **_OTHERS}


def bar1(scale: float = 1.0) -> list[Row]:
    """Wrong rollbacks of an equal challenger."""
    options = Options(promote=False)
    cells = [(world, options, int(runs * scale)) for world, runs in _WORLDS.values()]
    rows = []
    for name, found in zip(_WORLDS, streams.many("bar1", cells, seed=1), strict=True):
        rows.append(rate("1", f"wrong rollbacks, equal, {name}", found.rollback, ALPHA))
        if name in _DRIFTS:
            rows.append(rate("1", f"not needlessly slow, {name}", found.rollback, 0.025, ">="))
    return rows


def bar2(scale: float = 1.0) -> list[Row]:
    """Wrong promotions of a challenger that is worse by exactly the margin."""
    options = Options(rollback=False)
    cells = [(replace(w, effect=-MARGIN), options, int(runs * scale)) for w, runs in _WORLDS.values()]
    rows = []
    for name, found in zip(_WORLDS, streams.many("bar2", cells, seed=2), strict=True):
        rows.append(rate("2", f"wrong promotions, worse by the margin, {name}", found.promote, ALPHA))
        if name in _DRIFTS:
            rows.append(rate("2", f"not needlessly slow, {name}", found.promote, 0.025, ">="))
    return rows


def bar3(scale: float = 1.0) -> list[Row]:
    """The same when the challenger's labels are scarcer or more plentiful than the test is told."""
    cells, names = [], []
    for name, world in _DRIFTS.items():
        for ratio in (0.8, 1.25):
            for kind in ("rollback", "promote"):
                effect = 0.0 if kind == "rollback" else -MARGIN
                options = Options(rollback=kind == "rollback", promote=kind == "promote")
                cells.append((replace(world, label_ratio=ratio, effect=effect), options, int(6_000 * scale)))
                names.append((f"wrong {kind}, labels × {ratio}, {name}", kind))
    found = streams.many("bar3", cells, seed=3)
    return [rate("3", name, getattr(cell, kind), 0.06) for (name, kind), cell in zip(names, found, strict=True)]
