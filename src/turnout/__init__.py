"""Turnout: from raw data to a canary-tested KServe service, on a laptop and on Kubernetes alike."""

__version__ = "0.1.0"
