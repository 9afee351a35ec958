"""Why a step failed, in its own words: the exception at the end of its log."""

from __future__ import annotations

import re

__all__ = ["sentence", "traceback"]

_TRACEBACK = "Traceback (most recent call last):"
_EXCEPTION = re.compile(r"^([A-Za-z_][\w.]*)(?:: ?(.*))?$")
_OURS = "turnout.errors."


def sentence(log: str) -> str:
    """What the last exception in a log says: of our own errors the message alone, of others with their class.

    >>> sentence("Traceback (most recent call last):\\n  File x\\nturnout.errors.DataError: column age: 3 rows\\n")
    'column age: 3 rows'
    >>> sentence("Traceback (most recent call last):\\n  File x\\nValueError: no\\n")
    'ValueError: no'
    >>> sentence("reading a large file\\n")
    'it ended without an exception (was it killed?); its last words: reading a large file'
    """
    _, found, tail = log.rpartition(_TRACEBACK)
    lines = tail.splitlines()[1:] if found else []
    start = next((i for i, line in enumerate(lines) if line and not line[0].isspace() and _EXCEPTION.match(line)), None)
    if start is None:
        words = [line.strip() for line in log.splitlines() if line.strip()]
        last = words[-1] if words else "none"
        return f"it ended without an exception (was it killed?); its last words: {last}"
    return _told(lines[start:])


def traceback(log: str) -> str:
    """The last traceback in a log, to its end; all of the log where there is none.

    >>> traceback("reading\\nTraceback (most recent call last):\\n  File x\\nValueError: no\\n")
    'Traceback (most recent call last):\\n  File x\\nValueError: no\\n'
    """
    _, found, tail = log.rpartition(_TRACEBACK)
    return found + tail


def _told(lines: list[str]) -> str:
    """An exception and the rest of its message; problems of a SpecError are lines of their own."""
    matched = _EXCEPTION.match(lines[0])
    kind, message = matched.groups(default="") if matched else ("", lines[0])
    rest = [line.rstrip() for line in lines[1:]]
    text = "\n".join([message, *rest]).strip()
    if kind.startswith(_OURS):
        return text
    return f"{kind.rpartition('.')[2]}: {text}" if text else kind.rpartition(".")[2]
