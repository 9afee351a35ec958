"""Alembic's way in: the transaction is the ledger's own, so that a revision that fails leaves nothing behind."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=False)
context.run_migrations()
