"""W3C trace context: whose trace a request belongs to, so that a prediction can be found from a trace and back.

A prediction is a span of its own. Its id is the first half of the prediction's id, so nothing more has to be stored to
get from one to the other. https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Trace", "trace_of"]

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_MAX_STATE = 512  # what the standard asks everyone to pass on


@dataclass(slots=True)
class Trace:
    """Where a request comes from."""

    trace_id: str
    parent_id: str
    flags: str
    state: str

    def answered(self, prediction_id: str) -> tuple[tuple[bytes, bytes], ...]:
        """The headers of the reply: this prediction as a span of the caller's trace, and the state as it came."""
        parent = f"00-{self.trace_id}-{prediction_id[:16]}-{self.flags}".encode()
        if not self.state:
            return ((b"traceparent", parent),)
        return ((b"traceparent", parent), (b"tracestate", self.state.encode("latin-1")))

    def recorded(self) -> dict[str, str]:
        """What goes into a record and into the log."""
        parent = f"00-{self.trace_id}-{self.parent_id}-{self.flags}"
        return {"traceparent": parent, "tracestate": self.state} if self.state else {"traceparent": parent}


def trace_of(parent: bytes, state: bytes) -> Trace | None:
    """The trace that the two headers name; None when they are not valid, which the standard says to ignore."""
    found = _PARENT.fullmatch(parent)
    if found is None:
        return None
    version, trace_id, parent_id, flags, more = found.groups()
    # Of a version that is not known yet, the first four fields count; version 00 has no more.
    if version == b"ff" or (version == b"00" and more) or not int(trace_id, 16) or not int(parent_id, 16):
        return None
    return Trace(
        trace_id=trace_id.decode(),
        parent_id=parent_id.decode(),
        flags=flags.decode(),
        state=state.decode("latin-1") if len(state) <= _MAX_STATE and state.isascii() else "",
    )
