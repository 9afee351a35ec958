"""Benchmarks. Each module runs alone (`python -m bench.gateway`), prints a table and writes `bench/out/<name>.json`."""
