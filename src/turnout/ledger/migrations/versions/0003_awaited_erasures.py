"""A prediction may be erased before its record has come."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """One more column."""
    op.get_bind().exec_driver_sql("ALTER TABLE pending ADD COLUMN erased_us BIGINT")
