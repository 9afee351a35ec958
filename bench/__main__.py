"""`python -m bench`: all benchmarks, one after another."""

import sys

from bench import demo, gateway

sys.exit(max(gateway.main(), demo.main()))
