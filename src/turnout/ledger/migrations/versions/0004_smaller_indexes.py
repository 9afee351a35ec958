"""Half the size for the two indexes of PostgreSQL in the order of time."""

from __future__ import annotations

from alembic import op

from turnout.ledger.databases import is_postgresql

revision = "0004"
down_revision = "0003"

_INDEXES = {"ix_predictions_evidence": "", "ix_predictions_labelled": " WHERE feedback_count > 0"}


def upgrade() -> None:
    """Make them again, without the ids."""
    connection = op.get_bind()
    if not is_postgresql(connection):
        return
    for name, condition in _INDEXES.items():
        connection.exec_driver_sql(f"DROP INDEX {name}")
        connection.exec_driver_sql(f"CREATE INDEX {name} ON predictions (version_no, time_us){condition}")
