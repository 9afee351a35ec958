"""The ledger and the artifact store of whatever cluster a kubeconfig names, for those who read what was predicted."""

from __future__ import annotations

import os

from turnout import settings
from turnout.kube import client, discovery
from turnout.ledger.client import LedgerClient
from turnout.steps.logged import Books

__all__ = ["artifacts_url", "open_books"]


def artifacts_url() -> str:
    """Where models, snapshots and origins are kept. Who names the place in a setting needs no cluster that answers.

    Raises:
        Unavailable: it is not set, and the API server does not answer.
    """
    named = settings.read("TURNOUT_ARTIFACTS_URL")
    return named or _discover().artifacts_url


def open_books() -> Books:
    """Find them.

    Raises:
        Unavailable: the API server does not answer, or Turnout is not installed there.
    """
    addresses = _discover()
    return Books(LedgerClient(addresses.ledger_url, addresses.ledger_token), addresses.artifacts_url)


def _discover() -> discovery.Addresses:
    """The addresses, and in our environment what the artifact store wants: whatever reads it, reads it from there."""
    kube = client.connect()
    os.environ.update(discovery.object_store(kube))
    return discovery.discover(kube)
