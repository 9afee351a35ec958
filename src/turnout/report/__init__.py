"""The report of an endpoint: what was served, what was known, and what was decided, from the ledger alone."""

from turnout.report.drawing import picture
from turnout.report.gathering import Report, gather
from turnout.report.writing import page

__all__ = ["Report", "gather", "page", "picture"]
