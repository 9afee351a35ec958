"""What any server of the Kubernetes API must do that Turnout runs on, tested from outside.

Written against the API alone: nothing of the engine is imported, so that the same tests run on a cluster.
`python -m tests.conformance` runs them and writes what was found into docs/conformance.md.
"""
