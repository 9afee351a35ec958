"""The ledger as a process of its own, on a free port."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

from turnout.ledger.client import LedgerClient

TOKEN = "secret"


class LedgerProcess:
    """A running ledger over `folder`; a second one over the same folder goes on with the same database."""

    def __init__(self, folder: Path, *more: str) -> None:
        token = folder / "ledger.token"
        token.write_text(f"{TOKEN}\n")
        self._process = subprocess.Popen(
            command(f"--database=sqlite:///{folder / 'ledger.db'}", f"--token-file={token}", *more),
            stdout=subprocess.PIPE,
            stderr=(folder / "ledger.log").open("ab"),
            text=True,
        )
        assert self._process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", self._process.stdout.readline())
        assert found is not None, (folder / "ledger.log").read_text()
        self.url = found[0]
        self.client = LedgerClient(self.url, TOKEN)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        self._process.kill()
        self._end()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._end()

    def resident_mb(self) -> float:
        """Resident memory now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024

    def limit_files(self, size: int) -> None:
        """No file may grow beyond this size, as on a disk that is full."""
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def _end(self) -> int:
        code = self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self.client.close()
        return code


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "turnout.ledger", *arguments]
