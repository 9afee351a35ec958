"""Where servers run: ours in this environment, every peer in one of its own, made once from pinned requirements."""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.rows import OUT

__all__ = ["WORK", "build_openloop", "made", "peer", "wrk"]

WORK = OUT / "serving-work"
_HERE = Path(__file__).parent
# One file of joblib goes to all of them: the library that wrote it must be the one that reads it.
_SAME = ("scikit-learn", "numpy", "joblib")
_PEERS = {
    "kserve": ("kserve==0.21.0", "onnxruntime==1.31.1", "pandas==2.3.3"),
    "mlserver": ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop<0.22"),
    "bentoml": ("bentoml==1.4.39",),
    "litserve": ("litserve==0.2.19",),
    "fastapi": ("fastapi==0.165.0", "uvicorn[standard]==0.54.0"),
}


def peer(name: str) -> Path:
    """The Python of a peer's environment; made when it is missing or its requirements changed.

    Raises:
        RuntimeError: it cannot be installed; with what the installer said.
    """
    same = [f"{package}=={importlib.metadata.version(package)}" for package in _SAME]
    return made(name, [*_PEERS[name], *same], home=WORK)


def made(name: str, wanted: Sequence[str], *, home: Path) -> Path:
    """The Python of an environment with these packages below `home`.

    Raises:
        RuntimeError: it cannot be installed; with what the installer said.
    """
    digest = hashlib.sha256(repr((list(wanted), sys.version_info[:3])).encode()).hexdigest()[:12]
    place = home / "peers" / f"{name}-{digest}"
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        shutil.rmtree(place, ignore_errors=True)
        uv = str(Path(sys.executable).parent / "uv")
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(place))
        _run(uv, "pip", "install", "--quiet", "--python", str(python), *wanted)
        (place / "ready").touch()
    return python


def build_openloop() -> Path:
    """The compiled open-loop load generator.

    Raises:
        RuntimeError: there is no C compiler.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("bench.serving compiles its open-loop load generator: wanted cc or gcc on PATH, found none")
    WORK.mkdir(parents=True, exist_ok=True)
    program = WORK / "openloop"
    _run(compiler, "-O2", "-o", str(program), str(_HERE / "openloop.c"))
    return program


def wrk() -> str:
    """The path of wrk.

    Raises:
        RuntimeError: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise RuntimeError(
            "bench.serving measures with wrk: wanted it on PATH (Debian: apt-get install wrk), found none"
        )
    return found


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv[:3])} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
