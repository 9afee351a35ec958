"""The rows that a model's latest version learned from: what new ones are compared with."""

from __future__ import annotations

from turnout.steps import keeping, provenance
from turnout.steps.ingest import Last

__all__ = ["find"]


def find(model: str, *, artifacts_url: str) -> Last | None:
    """They, or None before the first version, or where its snapshot is gone."""
    version = provenance.latest(model, artifacts_url=artifacts_url)
    if version is None or not keeping.is_kept(version.snapshot.id, artifacts_url=artifacts_url):
        return None
    found = keeping.find(version.snapshot.id, artifacts_url=artifacts_url)
    return Last(found.snapshot.id, keeping.read(found, artifacts_url=artifacts_url))
