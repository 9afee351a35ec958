"""The Turnout controller: observe, decide, act, report. Level-triggered, safe to run twice."""
