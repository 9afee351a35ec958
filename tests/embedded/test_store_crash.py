"""The store under kill -9: whatever a writer was told is there, and everything that is there is whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from turnout.embedded.store import Store

_WRITER = """
import sys
from turnout.embedded.store import Store
store = Store(sys.argv[1])
for number in range(100_000):
    name = f"m{number % 7}"
    data = {"n": str(number), "pad": str(number) * 200}
    obj = {"metadata": {"name": name, "namespace": "default"}, "data": data}
    if number < 7:
        store.create("ConfigMap", obj)
    else:
        store.update("ConfigMap", obj)
    print(number, flush=True)
"""


@pytest.mark.e2e
@pytest.mark.parametrize("lines", [3, 40, 111])
def test_a_killed_writer_leaves_every_acknowledged_object_whole(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "store.db"
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(lines)]
        writer.send_signal(signal.SIGKILL)
        told += [int(line) for line in writer.stdout.read().split()]
    store = Store(path)
    found = {obj["metadata"]["name"]: obj["data"] for obj in store.list("ConfigMap")}
    for data in found.values():
        assert data["pad"] == data["n"] * 200
    last = {f"m{number % 7}": number for number in told}
    assert all(int(found[name]["n"]) >= number for name, number in last.items())
    # One change per write: the history and the objects belong to one transaction.
    history = store.changes("ConfigMap", after=1000, limit=100_000)
    assert [change.resource_version for change in history.changes] == list(range(1001, store.resource_version + 1))
    store.close()
