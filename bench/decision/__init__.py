"""The decision held against its bars: `python -m bench.decision` for all, `python -m bench.decision bar4` for one.

Every bar is one function that returns rows. All of them run the shipped tests: `turnout.simulation.kernel` is
`turnout.stats.betting` on arrays (a test holds them equal to 1e-9), the rest is `turnout.stats` itself.
"""
