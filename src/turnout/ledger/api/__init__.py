"""The ledger's HTTP API: a table of operations, thin handlers, problem documents for everything that goes wrong."""
