"""The command line: thin. Commands parse words, call one function, and print what it returns.

Imports are late: `turnout --help` must not wait for scikit-learn.
"""

from turnout.cli.app import main

__all__ = ["main"]
