"""A cluster from nothing: `make cluster`, `deploy`, `cluster-demo`, `cluster-down`. Clients of kubectl, kind and docker."""
