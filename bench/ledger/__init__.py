"""What the ledger takes, keeps and answers, on SQLite and on PostgreSQL, with up to ten million predictions."""
