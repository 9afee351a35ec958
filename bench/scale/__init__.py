"""Ten million rows through the real steps, beside plain pandas doing the same."""

from __future__ import annotations

__all__ = ["ROWS"]

ROWS = 10_000_000
"""The largest size."""
