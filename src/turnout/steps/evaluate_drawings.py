"""The report's pictures, as SVG: sharp at every size, readable in the dark, and the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from turnout.steps.parts import Array

__all__ = [
    "bar",
    "calibration",
    "clusters",
    "colour",
    "confusion",
    "curve",
    "folds",
    "interval",
    "residuals",
    "scatter",
]

_MOST_POINTS = 800
_LETTER = 7.0  # how wide one is, about


def _svg(width: float, height: float, body: Sequence[str], *, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(body)}</svg>'
    )


def _text(x: float, y: float, words: object, *, kind: str = "", anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(str(words))}</text>'


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[int | str]) -> str:
    """True class by answered class; right ones in blue on the diagonal, mistakes in red by their share of the row."""
    size = max(18, min(44, 460 // max(1, len(classes))))
    longest = _LETTER * max(len(_short(label)) for label in classes)
    is_slanted = longest > size
    left, top = 32 + longest, 46 + (0.7 * longest if is_slanted else 0)
    body = [_text(left + size * len(classes) / 2, 14, "answered", kind="axis")]
    for row, counts in enumerate(matrix):
        body.append(_text(left - 8, top + size * row + size / 2 + 4, _short(classes[row]), anchor="end"))
        x, y = left + size * row + size / 2, top - 8
        name = _text(x, y, _short(classes[row]), anchor="start" if is_slanted else "middle")
        body.append(f'<g transform="rotate(-45 {x:.1f} {y:.1f})">{name}</g>' if is_slanted else name)
        total = max(1, sum(counts))
        for column, count in enumerate(counts):
            body.append(_cell(left + size * column, top + size * row, size, count, count / total, row == column))
    middle = top + size * len(classes) / 2
    body.append(f'<g transform="rotate(-90 14 {middle:.1f})">{_text(14, middle, "true", kind="axis")}</g>')
    room = 10 + (0.7 * longest if is_slanted else 0)
    return _svg(left + size * len(classes) + room, top + size * len(classes) + 10, body, label="confusion matrix")


def _cell(x: float, y: float, size: float, count: int, share: float, right: bool) -> str:
    # A mistake of a few percent must be visible, so red grows with the root of its share.
    strength = share if right else share**0.5
    rect = (
        f'<rect x="{x:g}" y="{y:g}" width="{size - 1:g}" height="{size - 1:g}" rx="3" '
        f'class="{"right" if right else "wrong"}" fill-opacity="{max(0.04, strength):.3f}"/>'
    )
    if not count:
        return rect
    ink = "on" if strength > 0.55 else ""
    return rect + _text(x + size / 2, y + size / 2 + 4, count, kind=ink)


def bar(share: float, *, width: int = 150) -> str:
    """A share as a bar with its number."""
    if share != share:
        return "&ndash;"
    body = (
        f'<rect width="{width}" height="12" y="3" rx="3" class="track"/>'
        f'<rect width="{width * share:.1f}" height="12" y="3" rx="3" class="right"/>'
    )
    return _svg(width, 18, [body], label=f"{share:.3f}")


def interval(value: float, low: float, high: float, *, mark: float | None, bounds: tuple[float, float]) -> str:
    """A value with its interval on a line that is shared by all drawn with the same bounds, and a mark to pass."""
    width, middle = 320.0, 14.0
    start, end = bounds
    scale = (width - 20) / ((end - start) or 1.0)

    def at(number: float) -> float:
        return 10 + (min(max(number, start), end) - start) * scale

    body = [
        f'<line x1="10" x2="{width - 10:g}" y1="{middle}" y2="{middle}" class="track"/>',
        f'<line x1="{at(low):.1f}" x2="{at(high):.1f}" y1="{middle}" y2="{middle}" class="span"/>',
        f'<circle cx="{at(value):.1f}" cy="{middle}" r="5" class="right"/>',
    ]
    if mark is not None:
        body.append(f'<line x1="{at(mark):.1f}" x2="{at(mark):.1f}" y1="3" y2="25" class="mark"/>')
    return _svg(width, 28, body, label=f"{value:.4f}, {low:.4f} to {high:.4f}")


def folds(scores: Sequence[float], *, bounds: tuple[float, float]) -> str:
    """The score of each fold as a dot."""
    width = 160.0
    start, end = bounds
    scale = (width - 12) / ((end - start) or 1.0)
    dots = [f'<circle cx="{6 + (score - start) * scale:.1f}" cy="9" r="3.5" class="dot"/>' for score in scores]
    line = f'<line x1="6" x2="{width - 6:g}" y1="9" y2="9" class="track"/>'
    return _svg(width, 18, [line, *dots], label=", ".join(f"{score:.4f}" for score in scores))


def scatter(truth: Array, answered: Array) -> str:
    """Answered against true values; on the diagonal they are equal."""
    size, edge = 360.0, 34.0
    low, high = float(min(truth.min(), answered.min())), float(max(truth.max(), answered.max()))
    scale = (size - 2 * edge) / ((high - low) or 1.0)
    body = [f'<line x1="{edge}" y1="{size - edge}" x2="{size - edge}" y2="{edge}" class="mark"/>']
    for true, value in zip(_thinned(truth), _thinned(answered), strict=True):
        x, y = edge + (true - low) * scale, size - edge - (value - low) * scale
        body.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" class="dot"/>')
    body += [
        _text(edge, size - 12, f"{low:.4g}", anchor="start"),
        _text(size - edge, size - 12, f"{high:.4g}", anchor="end"),
        _text(size / 2, size - 6, "true", kind="axis"),
        _text(size / 2, 16, "answered (up)", kind="axis"),
    ]
    return _svg(size, size, body, label="answered against true values")


def clusters(places: Array, numbers: Array) -> str:
    """Rows on a plane, a colour for each cluster."""
    size, edge = 360.0, 14.0
    low = places.min(axis=0)
    scale = (size - 2 * edge) / (float((places.max(axis=0) - low).max()) or 1.0)
    width, height = (places.max(axis=0) - low) * scale + 2 * edge
    body = []
    across, up = ((places - low) * scale).T
    for x, y, number in zip(_thinned(across), _thinned(up), _thinned(numbers), strict=True):
        body.append(f'<circle cx="{edge + x:.1f}" cy="{height - edge - y:.1f}" r="3" fill="{colour(int(number))}"/>')
    return _svg(float(width), float(height), body, label="rows by cluster")


def colour(number: int) -> str:
    """Of a cluster; neighbouring numbers are far apart on the wheel (by the golden angle)."""
    return f"hsl({(210 + 137.5 * number) % 360:.1f} 60% 50%)"


def residuals(truth: Array, answered: Array) -> str:
    """How errors are spread: answered minus true."""
    width, height, edge = 360.0, 220.0, 30.0
    counts, borders = np.histogram(answered - truth, bins=min(30, max(5, int(len(truth) ** 0.5))))
    step = (width - 2 * edge) / len(counts)
    top = max(1, int(counts.max()))
    body = []
    for index, count in enumerate(counts.tolist()):
        tall = (height - 2 * edge) * count / top
        body.append(
            f'<rect x="{edge + index * step:.1f}" y="{height - edge - tall:.1f}" width="{step - 1:.1f}" '
            f'height="{tall:.1f}" class="right"/>'
        )
    body += [
        _text(edge, height - 12, f"{borders[0]:.4g}", anchor="start"),
        _text(width - edge, height - 12, f"{borders[-1]:.4g}", anchor="end"),
        _text(width / 2, height - 6, "answered minus true", kind="axis"),
    ]
    return _svg(width, height, body, label="spread of errors")


def calibration(bins: Sequence[tuple[float, float, float, float]]) -> str:
    """Confidence against the share of right answers with its interval; on the diagonal it can be believed."""
    size, edge = 300.0, 34.0
    start = min([low for _, _, low, _ in bins] + [confidence for confidence, *_ in bins])
    scale = (size - 2 * edge) / ((1 - start) or 1.0)
    body = [f'<line x1="{edge}" y1="{size - edge}" x2="{size - edge}" y2="{edge}" class="mark"/>']
    for confidence, right, low, high in bins:
        x, y = edge + (confidence - start) * scale, size - edge - (right - start) * scale
        top, bottom = size - edge - (high - start) * scale, size - edge - (low - start) * scale
        body.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" class="span"/>')
        body.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="right"/>')
    body += [
        _text(edge, size - 18, f"{start:.2f}", anchor="start"),
        _text(size - edge, size - 18, "1", anchor="end"),
        _text(size / 2, size - 6, "confidence", kind="axis"),
        _text(size / 2, 16, "share of right answers (up)", kind="axis"),
    ]
    return _svg(size, size, body, label="calibration")


def curve(points: Sequence[tuple[int, float]]) -> str:
    """Score by number of training rows."""
    width, height, edge = 360.0, 200.0, 40.0
    scores = [score for _, score in points]
    low, high = min(scores), max(scores)
    most = max(rows for rows, _ in points)
    places = [
        (
            edge + (width - 2 * edge) * rows / most,
            height - edge - (height - 2 * edge) * (score - low) / ((high - low) or 1.0),
        )
        for rows, score in points
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    body = [f'<polyline points="{line}" fill="none" class="span" style="stroke-width:2"/>']
    for (x, y), (rows, score) in zip(places, points, strict=True):
        body.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="right"/>')
        body.append(_text(x, y - 9, f"{score:.3f}"))
        body.append(_text(x, height - 18, rows))
    body.append(_text(width / 2, height - 4, "training rows", kind="axis"))
    return _svg(width, height, body, label="score by training rows")


def _thinned(values: Array) -> list[float]:
    """At most so many points, evenly taken: a million dots are no picture."""
    return [float(value) for value in values[:: max(1, -(-len(values) // _MOST_POINTS))]]


def _short(label: int | str) -> str:
    text = str(label)
    return text if len(text) <= 9 else f"{text[:8]}…"
