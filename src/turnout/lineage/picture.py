"""A trace as a picture: where the data came from on the left, the prediction on the right, the decisions below.

One SVG without scripts or files beside it, light and dark, the same bytes for the same trace.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from turnout import times
from turnout.lineage.tracing import Trace, sentence

__all__ = ["draw"]

_WIDTH, _EDGE, _GAP, _TOP = 1240.0, 28.0, 34.0, 92.0
_CARD = (_WIDTH - 2 * _EDGE - 4 * _GAP) / 5
_LINE, _HEAD = 18.0, 52.0
_LETTERS = 29  # of a fact, in a card
_SENTENCE = 112  # letters of a decision in a line
_MOST_SOURCES = 5

_STYLE = """
svg { --ink: #1d2733; --soft: #5d6b7a; --page: #f5f7fa; --card: #ffffff; --line: #d5dde6; --blue: #2563ae;
  --green: #1d7f4f; --red: #c2402d; --sand: #b07a1e; --violet: #7a4fa3; }
@media (prefers-color-scheme: dark) { svg { --ink: #e6ebf1; --soft: #9aa8b7; --page: #12181f; --card: #1b232d;
  --line: #2d3845; --blue: #6ba6ec; --green: #5cc491; --red: #ee7d6c; --sand: #dcae5f; --violet: #b594dc; } }
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--ink); }
.title { font-size: 22px; font-weight: 600; }
.name { font-size: 15px; font-weight: 600; }
.long { font-size: 11.5px; letter-spacing: -0.02em; }
.soft { fill: var(--soft); }
.small { font-size: 11.5px; }
.mono { font: 11.5px ui-monospace, "DejaVu Sans Mono", Menlo, monospace; fill: var(--soft); }
.kind { font-size: 11px; font-weight: 600; letter-spacing: 0.06em; fill: var(--soft); }
.page { fill: var(--page); }
.card { fill: var(--card); stroke: var(--line); }
.arrow { fill: none; stroke: var(--soft); stroke-width: 1.6; }
.tip { fill: var(--soft); }
.rail { stroke: var(--line); stroke-width: 2; }
.data { fill: var(--sand); } .made { fill: var(--violet); } .served { fill: var(--blue); }
.good { fill: var(--green); } .bad { fill: var(--red); }
"""
_COLOURS = {"adopt": "good", "promote": "good", "rollback": "bad", "revert": "bad", "expire": "bad"}


@dataclass(frozen=True)
class _Card:
    """One thing: its kind, its name, facts below; `colour` is a class of the style."""

    kind: str
    name: str
    facts: tuple[str, ...]
    colour: str

    @property
    def height(self) -> float:
        return _HEAD + _LINE * len(self.facts) + 10


def draw(trace: Trace) -> str:
    """The picture."""
    columns = _columns(trace)
    tallest = max(sum(card.height + 12 for card in cards) - 12 for cards in columns)
    middle = _TOP + tallest / 2
    body = [_words(_EDGE, 44, f"Where prediction {_short(trace.prediction)} came from", "title")]
    body.append(_words(_EDGE, 68, _subtitle(trace), "soft"))
    for index, cards in enumerate(columns):
        left = _EDGE + index * (_CARD + _GAP)
        body += _stack(cards, left=left, middle=middle)
    below, bottom = _decisions(trace, top=_TOP + tallest + 46)
    return _svg(body + below, height=bottom, title=f"Lineage of prediction {trace.prediction}")


def _subtitle(trace: Trace) -> str:
    share = f" · its version had {trace.share:.0%} of the requests" if trace.share is not None else ""
    outcome = f" · outcome {trace.outcome:g}" if trace.outcome is not None else ""
    return f"endpoint {trace.namespace}/{trace.endpoint} · {times.text(trace.time_us)}{share}{outcome}"


def _columns(trace: Trace) -> list[list[_Card]]:
    origin = trace.origin
    size = f"{origin.rows} rows × {origin.columns} columns" if origin.rows is not None else ""
    candidate = f"candidate {origin.candidate}" if origin.candidate else ""
    code = (
        ("commit", _short(origin.commit)),
        ("image", origin.image.rpartition("/")[2]),
        ("MLflow", _short(origin.mlflow_run)),
        ("Python", origin.python),
    )
    made = times.text(origin.registered_us) if origin.registered_us is not None else ""
    return [
        _sources(origin.sources),
        [_card("SNAPSHOT", origin.snapshot, "made", size, _digest(origin.snapshot_digest))],
        [_card("PIPELINE RUN", origin.run, "made", candidate, *(f"{name} {value}" for name, value in code if value))],
        [_card("VERSION", trace.version, "served", _digest(origin.digest), made)],
        [
            _card(
                "PREDICTION", _short(trace.prediction), "good", times.text(trace.time_us), f"rev {trace.rev or 'none'}"
            )
        ],
    ]


def _sources(sources: Sequence[Mapping[str, Any]]) -> list[_Card]:
    if not sources:
        return [_card("SOURCE", "", "data")]
    cards = [
        _card(
            "SOURCE",
            source["name"],
            "data",
            _tail(str(source["path"]).partition("?")[0]),
            f"{source['rows']} rows · {source['sha256'][:8]}…",
        )
        for source in sources[:_MOST_SOURCES]
    ]
    more = len(sources) - _MOST_SOURCES
    return [*cards, _card("SOURCE", f"and {more} more", "data")] if more > 0 else cards


def _card(kind: str, name: str, colour: str, *facts: str) -> _Card:
    return _Card(kind, name or "unknown", tuple(fact for fact in facts if fact), colour)


def _stack(cards: Sequence[_Card], *, left: float, middle: float) -> list[str]:
    """Cards one below the other around the middle; those left of others point to the right."""
    top = middle - (sum(card.height + 12 for card in cards) - 12) / 2
    body: list[str] = []
    for card in cards:
        body += _drawn(card, left=left, top=top)
        if card.kind != "PREDICTION":
            body.append(_arrow(left + _CARD, top + card.height / 2, left + _CARD + _GAP, middle))
        top += card.height + 12
    return body


def _drawn(card: _Card, *, left: float, top: float) -> list[str]:
    body = [
        f'<rect x="{left:g}" y="{top:g}" width="{_CARD:g}" height="{card.height:g}" rx="10" class="card"/>',
        f'<rect x="{left:g}" y="{top + 12:g}" width="4" height="{card.height - 24:g}" rx="2" class="{card.colour}"/>',
        _words(left + 18, top + 22, card.kind, "kind"),
        _words(left + 18, top + 43, _cut(card.name, 27), "name" if len(card.name) <= 20 else "name long"),
    ]
    facts = enumerate(card.facts)
    return body + [
        _words(left + 18, top + _HEAD + 12 + n * _LINE, _cut(fact, _LETTERS), "soft small") for n, fact in facts
    ]


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    bend = (x + to_x) / 2
    return (
        f'<path d="M{x:g} {y:g} C{bend:g} {y:g} {bend:g} {to_y:g} {to_x - 8:g} {to_y:g}" class="arrow"/>'
        f'<path d="M{to_x - 9:g} {to_y - 5:g} L{to_x - 1:g} {to_y:g} L{to_x - 9:g} {to_y + 5:g} Z" class="tip"/>'
    )


def _decisions(trace: Trace, *, top: float) -> tuple[list[str], float]:
    """What put the version in front of the request, in time; and where the picture ends."""
    entries = [
        (_COLOURS.get(row["action"], "served"), row["action"], row["time_us"], sentence(row)) for row in trace.decisions
    ]
    body = [_words(_EDGE, top, "What put this version in front of the request", "name")]
    y, rail = top + 34, _EDGE + 6
    first = y
    for colour, action, time_us, said in entries:
        lines = textwrap.wrap(said, _SENTENCE) or [""]
        body.append(f'<circle cx="{rail:g}" cy="{y - 4:g}" r="6" class="{colour}"/>')
        body.append(_words(_EDGE + 26, y, times.text(time_us), "mono"))
        body.append(_words(_EDGE + 190, y, action, "name small"))
        body += [_words(_EDGE + 280, y + n * _LINE, line, "small") for n, line in enumerate(lines)]
        y += _LINE * len(lines) + 12
    if len(entries) > 1:
        last = y - 12 - _LINE
        body.insert(1, f'<line x1="{rail:g}" x2="{rail:g}" y1="{first - 4:g}" y2="{last - 4:g}" class="rail"/>')
    if not entries:
        body.append(
            _words(_EDGE, y, "The audit has no decision about it: it was asked directly, or before any.", "soft")
        )
        y += _LINE + 12
    for remark in trace.remarks:
        for line in textwrap.wrap(remark, _SENTENCE + 40):
            body.append(_words(_EDGE, y + 6, line, "bad small"))
            y += _LINE
    return body, y + 14


def _svg(body: Sequence[str], *, height: float, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {height:g}" width="{_WIDTH:g}" '
        f'height="{height:g}" role="img"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f'<rect width="100%" height="100%" class="page"/>{"".join(body)}</svg>\n'
    )


def _words(x: float, y: float, words: str, kind: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(words)}</text>'


def _short(identifier: str) -> str:
    return identifier if len(identifier) <= 16 else f"{identifier[:12]}…"


def _digest(digest: str) -> str:
    return f"{digest[:19]}…" if len(digest) > 20 else digest


def _tail(path: str) -> str:
    """The end of a path says more than its beginning."""
    return path if len(path) <= _LETTERS else f"…{path[-_LETTERS + 1 :]}"


def _cut(words: str, letters: int) -> str:
    return words if len(words) <= letters else f"{words[: letters - 1]}…"
