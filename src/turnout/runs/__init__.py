"""Runs of the compiled pipelines on this machine, and the record of each.

    execution   starts a run and follows it
    driver      the process of one run: KFP's local runner on the compiled file
    watching    what the runner tells about its steps, as events and one log per step
    failures    why a step failed, in its own words
    expecting   how long a run may still take
    records     state, seconds, parameters, artifacts and errors, on disk while the run goes on

KFP's local runner keeps no record, and its error names a task and nothing else; everything a person asks afterwards
is answered from the record. Importing this package imports no kfp.
"""

from __future__ import annotations

from turnout.runs.execution import Progress, execute, execute_again
from turnout.runs.records import CANCELLED, RunRecord, StepRecord, cancel, get_run, list_runs

__all__ = [
    "CANCELLED",
    "Progress",
    "RunRecord",
    "StepRecord",
    "cancel",
    "execute",
    "execute_again",
    "get_run",
    "list_runs",
]
