"""The picture of a trace: whole, escaped, the same for the same trace, and made of what is known."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.lineage.traces import decision, origin, trace
from turnout.lineage import picture
from turnout.lineage.tracing import Origin, Trace


def _texts(traced: Trace) -> list[str]:
    root = ElementTree.fromstring(picture.draw(traced))  # noqa: S314 - written here
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_everything_on_the_way_is_in_the_picture() -> None:
    words = " | ".join(_texts(trace()))
    for part in ("pixels", "snap-0123456789abcdef", "digits-20251121-094500-a1b2", "candidate forest", "digits-v2"):
        assert part in words
    assert "commit c1f089a2b7d3" in words
    assert "its version had 20% of the requests" in words
    assert "digits-v2 challenges digits-v1" in words


def test_the_same_trace_is_the_same_bytes() -> None:
    assert picture.draw(trace()) == picture.draw(trace())


@pytest.mark.parametrize("letters", ["<b>&\"'", "x" * 300])
def test_words_of_others_are_escaped_and_cut(letters: str) -> None:
    sources = [{"name": letters, "path": letters, "sha256": "cd" * 32, "rows": 1}]
    words = _texts(
        trace(version=letters, origin=origin(sources=sources), decisions=[decision("step", sentence=letters)])
    )
    assert max(map(len, words)) <= 160


def test_many_sources_are_counted() -> None:
    sources = [{"name": f"s{at}", "path": f"/{at}.csv", "sha256": "cd" * 32, "rows": 1} for at in range(40)]
    assert "and 35 more" in _texts(trace(origin=origin(sources=sources)))


def test_a_version_that_no_pipeline_made_has_gaps_and_no_inventions() -> None:
    words = _texts(trace(origin=Origin(), decisions=[], remarks=["no pipeline registered it"]))
    assert words.count("unknown") == 3
    assert "no pipeline registered it" in words
    assert any("The audit has no decision about it" in word for word in words)
