"""`make cluster-demo`: the story of `make demo` on the cluster that kubectl talks to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cluster import care

__all__ = ["tell"]


def tell(*, pipelines: str, keep: bool) -> int:
    """The exit code of the demo: 0 when the story ended as it must."""
    care.confirm("tell the demo (it makes InferenceServices and a Turnout in namespace default)")
    turnout = str(Path(sys.executable).parent / "turnout")
    words = [*(["--keep"] if keep else []), *(["--kfp"] if pipelines == "kfp" else [])]
    return subprocess.run([turnout, "demo", "--cluster", *words], check=False).returncode
