"""The ledger and the artifact store of whatever cluster a kubeconfig names, for those who read what was predicted."""

from __future__ import annotations

from turnout.kube import client, discovery
from turnout.ledger.client import LedgerClient
from turnout.steps.logged import Books

__all__ = ["open_books"]


def open_books() -> Books:
    """Find them.

    Raises:
        Unavailable: the API server does not answer, or Turnout is not installed there.
    """
    addresses = discovery.discover(client.connect())
    return Books(LedgerClient(addresses.ledger_url, addresses.ledger_token), addresses.artifacts_url)
