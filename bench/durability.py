"""What recording costs: no log, `local` and `acked`, with a real ledger. Run: `python -m bench.durability`.

One predictor for each, side by side, and one ledger; rounds are interleaved. At one connection the median time of a
request is a request's whole price; at 64 the records of many requests share one commit. Two minutes.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson

from bench import load, rows
from bench.rows import Row

_ROUNDS = 5
_SECONDS = 3.0
_CONNECTIONS = (1, 8, 64)
_MODEL = Path(__file__).parent.parent / "kserve" / "samples" / "models" / "iris"
_KINDS = ("none", "local", "acked")


@contextlib.contextmanager
def _process(module: str, *flags: str) -> Iterator[str]:
    """A program of ours, and the URL at which it says that it answers."""
    process = subprocess.Popen([sys.executable, "-m", module, *flags], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found is None:
            raise SystemExit(f"bench.durability: {module} did not start: {line!r}")
        yield found[0]
    finally:
        process.terminate()
        process.wait()


def _predictor(kind: str, folder: Path, ledger: str) -> contextlib.AbstractContextManager[str]:
    flags = ["--http_port=0", f"--model_dir={_MODEL}", "--model_name=iris-v1", f"--pod={kind}"]
    if kind != "none":
        flags += [f"--log_dir={folder / kind}", f"--ledger_url={ledger}", f"--ledger_token_file={folder / 'token'}"]
        flags += [f"--durability={kind}"]
    return _process("turnout.predictor", *flags)


def _request() -> bytes:
    tensor = {"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}
    body = orjson.dumps({"inputs": [tensor]})
    head = "POST /v2/models/iris-v1/infer HTTP/1.1\r\nHost: iris\r\nContent-Type: application/json\r\n"
    return head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def _measure(ports: dict[str, int]) -> Iterator[Row]:
    request = _request()
    for connections in _CONNECTIONS:
        found: dict[str, list[float]] = {kind: [] for kind in ports}
        for number in range(_ROUNDS):
            print(f"{connections} connections, round {number + 1} of {_ROUNDS}", file=sys.stderr, flush=True)
            for kind, port in ports.items():
                found[kind].append(load.run(port, request, connections=connections, seconds=_SECONDS).per_second)
        for kind, speeds in found.items():
            yield rows.measured(f"{kind}, {connections} connections", speeds, "requests/s")
        for kind in ("local", "acked"):
            ratios = [own / none for own, none in zip(found[kind], found["none"], strict=True)]
            yield rows.measured(f"{kind} / none, {connections} connections", ratios, "ratio")


def main() -> int:
    """Measure and publish."""
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as scratch, contextlib.ExitStack() as running:
        folder = Path(scratch)
        (folder / "token").write_text("bench\n")
        database = f"--database=sqlite:///{folder / 'ledger.db'}"
        ledger = running.enter_context(_process("turnout.ledger", database, f"--token-file={folder / 'token'}"))
        urls = {kind: running.enter_context(_predictor(kind, folder, ledger)) for kind in _KINDS}
        found = list(_measure({kind: int(url.rpartition(":")[2]) for kind, url in urls.items()}))
    return 0 if rows.publish("durability", found) else 1


if __name__ == "__main__":
    sys.exit(main())
