"""The predictor beside its peers and its limits, in one run. `python -m bench.serving --help`."""
