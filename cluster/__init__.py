"""A cluster from nothing, for `make cluster` and its like: a client of kubectl, kind and docker, nothing else."""
