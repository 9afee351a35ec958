"""`python -m tests.conformance`: runs the suite and writes its column into docs/conformance.md.

Without KUBECONFIG it starts a fresh engine. With it, the suite runs on that cluster, in namespaces of its own that it
deletes; it asks first, unless the context is one of kind's or of a node of ours, or CONTEXT names it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import server as servers
from tests.conformance.conftest import KUBECONFIG
from tests.conformance.report import Outcomes, publish

HERE = Path(__file__).parent
HARMLESS = ("kind-", "node", "turnout")


class Recorder:
    """Keeps what became of each test."""

    def __init__(self) -> None:
        self.outcomes: Outcomes = {}
        self.version = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        name = report.nodeid.rpartition("/")[2]
        if report.skipped:
            self.outcomes[name] = f"skipped: {str(report.longrepr[2]).removeprefix('Skipped: ')}"
        elif report.when == "call" or report.failed:
            self.outcomes[name] = report.outcome

    @pytest.fixture(scope="session", autouse=True)
    def remember_version(self, server: servers.Server) -> None:
        self.version = server.get("/version").json()["gitVersion"]


def main() -> int:
    """Run; the exit code is pytest's."""
    given = os.environ.get("KUBECONFIG", "")
    if given:
        kubeconfig = Path(given).absolute()
        context = servers.current_context(kubeconfig)
        print(f"context {context} of {kubeconfig.name}", flush=True)
        if not _may_use(context):
            return 1
        os.environ[KUBECONFIG] = str(kubeconfig)
    recorder = Recorder()
    code = pytest.main(["-q", "-p", "no:cacheprovider", "-m", "", str(HERE), *sys.argv[1:]], plugins=[recorder])
    publish(HERE.parent.parent / "docs" / "conformance.md", recorder.version, recorder.outcomes)
    return int(code)


def _may_use(context: str) -> bool:
    if context.startswith(HARMLESS) or os.environ.get("CONTEXT") == context:
        return True
    answer = input(f"Run the tests on {context}? They keep to namespaces named conformance-*. [y/N] ")
    return answer.strip().lower() in ("y", "yes")


if __name__ == "__main__":
    sys.exit(main())
