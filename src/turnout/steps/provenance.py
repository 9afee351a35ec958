"""What a version was made of, written down where nobody edits it: enough to make it again and to compare the two.

Beside the models and the snapshots (`keeping`) the artifact store holds one more thing, written once:

    provenance/<model>/v<n>.json    spec, snapshot, packages, code, commit and image; and what each step gave

`inputs` is a digest over all that decides which model comes out. Two versions with the same inputs have the same
artifact, or training is not deterministic and the later one says so.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson

import turnout
from turnout import storage
from turnout.errors import Conflict, DataError, NotFound
from turnout.spec import ModelSpec
from turnout.steps import artifact, snapshots
from turnout.steps.snapshots import Snapshot

__all__ = [
    "Environment",
    "Provenance",
    "environment",
    "inputs_digest",
    "latest",
    "learners",
    "read",
    "write",
]

_FORMAT = 1
# What of our own code decides which model comes out of a snapshot and a spec.
_LEARNING = ("dates.py", "fitted.py", "spec", "steps")


@dataclass(frozen=True)
class Environment:
    """What ran: Python, the processor's architecture, every installed package, and our own code by digest."""

    python: str
    machine: str
    packages: tuple[str, ...]
    turnout: str
    code: str

    @property
    def lock(self) -> str:
        """A digest over the packages with their versions."""
        return artifact.digest_of("\n".join(self.packages).encode())

    @property
    def digest(self) -> str:
        """A digest over all of it that can change what a step gives."""
        return artifact.digest_of("\n".join((self.python, self.machine, self.lock, self.code)).encode())

    def differences(self, other: Environment) -> list[str]:
        """What is otherwise there, in words; empty when nothing is."""
        found = [
            f"{name} {mine} there, {yours} here"
            for name, mine, yours in (
                ("Python", self.python, other.python),
                ("machine", self.machine, other.machine),
                ("Turnout's training code", self.code[:19], other.code[:19]),
            )
            if mine != yours
        ]
        mine, yours = set(self.packages), set(other.packages)
        names = sorted({package.partition("==")[0] for package in mine ^ yours})
        return [*found, *(f"{name} {_version(mine, name)} there, {_version(yours, name)} here" for name in names)]


@dataclass(frozen=True)
class Provenance:
    """A version's origin. `steps` holds what each step gave, by task, so that a repetition finds where it parts."""

    version: str
    digest: str
    registered_us: int
    inputs: str
    run: str
    job: str
    mlflow_run: str
    commit: str
    image: str
    spec: str
    snapshot: Snapshot
    environment: Environment
    steps: Mapping[str, Any]
    mismatch: str = ""


@cache
def environment() -> Environment:
    """That of this process."""
    packages = {(found.metadata["Name"].lower(), found.version) for found in metadata.distributions()}
    return Environment(
        python=platform.python_version(),
        machine=platform.machine(),
        packages=tuple(f"{name}=={version}" for name, version in sorted(packages)),
        turnout=turnout.__version__,
        code=_code(),
    )


def inputs_digest(spec: ModelSpec, snapshot: Snapshot, ran: Environment) -> str:
    """A digest over everything that decides which model comes out."""
    content = [spec.learning(), snapshot.digest, ran.python, ran.machine, ran.lock, ran.code]
    return artifact.digest_of(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))


def write(found: Provenance, *, artifacts_url: str) -> None:
    """Keep what is known of a version; repeating it changes nothing.

    Raises:
        Conflict: another origin is written down for this version.
    """
    place = storage.at(_url(artifacts_url, found.version))
    if place.exists():
        known = _parsed(place.read_bytes())
        if (known.digest, known.run) != (found.digest, found.run):
            raise Conflict(f"{found.version} has an origin already (run {known.run}, artifact {known.digest})")
        return
    place.write_bytes(orjson.dumps({"format": _FORMAT, **asdict(found)}, option=orjson.OPT_INDENT_2) + b"\n")


def read(version: str, *, artifacts_url: str) -> Provenance:
    """What is known of a version.

    Raises:
        NotFound: nothing is: no pipeline registered it.
        DataError: what is there is no record of a version.
    """
    url = _url(artifacts_url, version)
    try:
        return _parsed(storage.at(url).read_bytes())
    except NotFound as error:
        raise NotFound(
            f"{version}: no pipeline registered it, so nobody knows what it was made of ({error})"
        ) from error
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{url} is no record of a version: {error}") from error


def latest(model: str, *, artifacts_url: str) -> Provenance | None:
    """What is known of a model's latest version; None before the first."""
    names = storage.at(storage.join(artifacts_url, "provenance", model)).names()
    numbers = [int(name[1:-5]) for name in names if name.startswith("v") and name[1:-5].isdigit()]
    return read(f"{model}-v{max(numbers)}", artifacts_url=artifacts_url) if numbers else None


def learners(*, artifacts_url: str) -> dict[str, tuple[str, ...]]:
    """By snapshot, the versions that learned from it."""
    place = storage.join(artifacts_url, "provenance")
    found: dict[str, tuple[str, ...]] = {}
    for name in storage.at(place).names():
        origin = _parsed(storage.at(storage.join(place, name)).read_bytes())
        found[origin.snapshot.id] = (*found.get(origin.snapshot.id, ()), origin.version)
    return found


def _parsed(content: bytes) -> Provenance:
    said = orjson.loads(content)
    del said["format"]
    ran = said.pop("environment")
    return Provenance(
        **{
            **said,
            "snapshot": snapshots.parse(said["snapshot"]),
            "environment": Environment(**{**ran, "packages": tuple(ran["packages"])}),
        }
    )


def _url(artifacts_url: str, version: str) -> str:
    model, _, number = version.rpartition("-v")
    return storage.join(artifacts_url, "provenance", model, f"v{number}.json")


def _code() -> str:
    """A digest over the source of our own training code."""
    root, whole = Path(turnout.__file__).parent, hashlib.sha256()
    for name in _LEARNING:
        for file in sorted((root / name).glob("*.py")) or [root / name]:
            whole.update(f"{file.relative_to(root)}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    return f"sha256:{whole.hexdigest()}"


def _version(packages: set[str], name: str) -> str:
    found = next((package for package in packages if package.partition("==")[0] == name), "")
    return found.partition("==")[2] or "absent"
