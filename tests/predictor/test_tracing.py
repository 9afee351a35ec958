"""W3C trace context: taken over when it is valid, ignored when it is not."""

from __future__ import annotations

import pytest

from turnout.predictor.tracing import trace_of

PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_the_reply_is_a_span_of_the_callers_trace() -> None:
    trace = trace_of(PARENT, b"vendor=1")

    assert trace is not None
    assert trace.answered("0123456789abcdef" * 2) == (
        (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-0123456789abcdef-01"),
        (b"tracestate", b"vendor=1"),
    )
    assert trace.recorded() == {"traceparent": PARENT.decode(), "tracestate": "vendor=1"}


def test_a_later_version_counts_by_its_first_four_fields() -> None:
    assert trace_of(b"cc" + PARENT[2:] + b"-what-comes-later", b"") is not None


@pytest.mark.parametrize(
    "parent",
    [
        b"",
        b"ff" + PARENT[2:],
        PARENT + b"-more",
        PARENT.upper(),
        b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-" + b"0" * 16 + b"-01",
        PARENT + b"\n",
    ],
)
def test_what_is_not_valid_is_ignored(parent: bytes) -> None:
    assert trace_of(parent, b"vendor=1") is None


@pytest.mark.parametrize("state", [b"", b"x" * 513, b"\xff"])
def test_a_state_that_cannot_be_passed_on_is_dropped(state: bytes) -> None:
    trace = trace_of(PARENT, state)

    assert trace is not None
    assert [name for name, _ in trace.answered("1" * 32)] == [b"traceparent"]
