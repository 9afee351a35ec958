"""Kubernetes as Turnout speaks it: one client, and the objects that we build and read.

Importing this package is cheap; only `client` imports the `kubernetes` package.
"""
