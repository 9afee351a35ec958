"""Constant load while parts are killed and objects change: `make chaos` runs it long, `make test` for seconds."""
