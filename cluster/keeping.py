"""Backup and restore of what cannot be made again: ledger and MLflow in PostgreSQL, models and snapshots in S3.

For the databases and the bucket that `make deploy` makes. One that is yours has its provider's ways.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster import care, secrets
from cluster.tools import Problem, kubectl, program, run, say
from turnout import storage
from turnout.kube import client, discovery

__all__ = ["backup", "restore"]

_DATABASES = ("ledger", "mlflow")
_WRITERS = ("turnout-controller", "turnout-ledger", "turnout-mlflow")
_POD = "turnout-postgres-0"


def backup(folder: Path) -> None:
    """Write dumps and objects into a new folder. Nothing is stopped: each dump is one state of its database.

    The databases come first: what they name is in the bucket, and objects are never changed.

    Raises:
        Problem: the folder is there already, or a part failed.
    """
    care.confirm("read everything")
    if folder.exists():
        raise Problem(f"{folder} is there already; a backup gets a folder of its own")
    folder.mkdir(parents=True, mode=0o700)
    for name in _DATABASES:
        dump = folder / f"{name}.dump"
        with dump.open("wb") as file:
            _postgres(f"pg_dump --format=custom {name}", stdout=file)
        say(f"  {dump}: {dump.stat().st_size / 1e6:.1f} MB")
    storage.at(_bucket()).download_folder(folder / "objects")
    say(f"  {folder / 'objects'}: {sum(1 for path in (folder / 'objects').rglob('*') if path.is_file())} objects")


def restore(folder: Path) -> None:
    """Make databases and bucket what they were. Whoever writes is stopped meanwhile; predictors keep their records.

    Raises:
        Problem: the folder is no backup, or a part failed.
    """
    care.confirm(f"replace ledger, MLflow and bucket by those of {folder}")
    dumps = [folder / f"{name}.dump" for name in _DATABASES]
    missing = [str(path) for path in (*dumps, folder / "objects") if not path.exists()]
    if missing:
        raise Problem(f"{folder} is no backup: {', '.join(missing)} is missing")
    storage.at(_bucket()).upload_folder(folder / "objects")
    say("  objects")
    with _nobody_writes():
        for name, dump in zip(_DATABASES, dumps, strict=True):
            # Into an empty database: partitions cannot be dropped one by one.
            _postgres(f"dropdb --if-exists --force {name}")
            _postgres(f"createdb --owner={name} {name}")
            with dump.open("rb") as file:
                _postgres(f"pg_restore --exit-on-error --dbname={name}", stdin=file)
            _postgres(f"psql --quiet --command='REVOKE CONNECT ON DATABASE {name} FROM PUBLIC'")
            say(f"  {name}")


def _bucket() -> str:
    kube = client.connect()
    os.environ.update(discovery.object_store(kube))
    return discovery.discover(kube).artifacts_url


@contextmanager
def _nobody_writes() -> Iterator[None]:
    replicas = {}
    for name in _WRITERS:
        path = "--output=jsonpath={.spec.replicas}"
        replicas[name] = kubectl("get", "deployment", name, "--namespace", secrets.SYSTEM, path)
    try:
        for name in _WRITERS:
            _scale(name, "0")
        for name in _WRITERS:
            selector = f"--selector=app.kubernetes.io/name={name}"
            run("kubectl", "wait", "pods", selector, "--namespace", secrets.SYSTEM, "--for=delete", "--timeout=120s")
        yield
    finally:
        for name in _WRITERS:
            _scale(name, replicas[name])
    for name in _WRITERS:
        run("kubectl", "rollout", "status", f"deployment/{name}", "--namespace", secrets.SYSTEM, "--timeout=300s")


def _scale(name: str, replicas: str) -> None:
    kubectl("scale", "deployment", name, "--namespace", secrets.SYSTEM, f"--replicas={replicas}")


def _postgres(command: str, **files: object) -> None:
    """One of PostgreSQL's programs, in its Pod, as its superuser."""
    login = 'export PGPASSWORD="$POSTGRES_PASSWORD" PGHOST=127.0.0.1 PGUSER="$POSTGRES_USER"'
    # What a program that failed did not read would keep kubectl waiting for ever.
    script = f"{login}; {command}; status=$?; cat > /dev/null; exit $status"
    words = ["exec", "--stdin", _POD, "--namespace", secrets.SYSTEM, "--container=postgres", "--", "sh", "-c", script]
    given = {"stdin": subprocess.DEVNULL, **files}
    done = subprocess.run([program("kubectl"), *words], stderr=subprocess.PIPE, check=False, **given)  # type: ignore[call-overload]
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise Problem(f"{command.split()[0]}: {said[-1] if said else done.returncode}")
