"""The tables of the first release, which numbered them by itself: databases are taken over here, never made."""

from __future__ import annotations

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Nothing: whoever is here has these tables."""
