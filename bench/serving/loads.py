"""Two kinds of load: closed loop with wrk (as fast as it answers) and open loop at a constant rate."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.serving import environments
from bench.serving.bodies import Asked

__all__ = ["Closed", "Open", "closed", "opened"]

_LUA = Path(__file__).parent / "wrk.lua"


@dataclass(frozen=True)
class Closed:
    """What a closed-loop run saw."""

    per_second: float
    p99_ms: float
    failed: int


@dataclass(frozen=True)
class Open:
    """What an open-loop run saw; latencies count from when a request was due."""

    p50_ms: float
    p99_ms: float
    p999_ms: float
    answered: int
    failed: int


def closed(port: int, asked: Asked, *, connections: int, seconds: float, path: str = "", host: str = "") -> Closed:
    """`wrk -t1 -cN`, with the latency of what it measured itself (closed: a stalled server slows the load down)."""
    headers = {"Host": host, **asked.headers} if host else asked.headers
    environment = os.environ | {
        "BENCH_BODY": str(asked.body),
        "BENCH_HEADERS": "\n".join(f"{name}: {value}" for name, value in headers.items()),
    }
    url = f"http://127.0.0.1:{port}{path or asked.path}"
    argv = (environments.wrk(), "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", "-s", str(_LUA), url)
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    found = orjson.loads(done.stdout.strip().splitlines()[-1])
    per_second = (found["requests"] - found["failed"]) / found["seconds"]
    return Closed(per_second=per_second, p99_ms=found["p99_ms"], failed=found["failed"])


def opened(port: int, request: bytes, *, rate: float, seconds: float, work: Path, connections: int = 64) -> Open:
    """`rate` requests a second over `connections`, after a warm-up of 1.5 s."""
    file = work / "openloop-request"
    file.write_bytes(request)
    argv = (
        str(environments.build_openloop()),
        str(port),
        f"{rate:g}",
        str(connections),
        "1.5",
        f"{seconds:g}",
        str(file),
    )
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"open loop against port {port}: {done.stderr.strip()}")
    found = orjson.loads(done.stdout)
    return Open(**{name: found[name] for name in ("p50_ms", "p99_ms", "p999_ms", "answered", "failed")})
