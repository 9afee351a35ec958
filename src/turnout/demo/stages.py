"""Where the story is told: on an engine that is started for it, or on the cluster that KUBECONFIG names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from rich.console import Console

from turnout import runs
from turnout.embedded import lifecycle
from turnout.kube import client, discovery, inferenceservices
from turnout.ledger.client import LedgerClient
from turnout.runs import on_kfp

__all__ = ["Cluster", "Laptop", "Place"]

_NAMESPACE = "default"


class Place(Protocol):
    """Somewhere with an API server, a gateway and a ledger."""

    @property
    def home(self) -> Path:
        """Folder of the runs, the data and the report."""

    @property
    def title(self) -> str:
        """What `begin` does, in a few words."""

    @property
    def label_window(self) -> str:
        """How long labels may take; a unit whose label comes later is no evidence."""

    def prepare(self) -> None:
        """Before anything is told: clean up after an earlier story."""

    def begin(self) -> None:
        """Make it answer."""

    def endpoint(self) -> str:
        """The endpoint that the story is about."""

    @property
    def execute(self) -> Callable[..., runs.RunRecord]:
        """What runs a pipeline: `turnout.runs.execute`, or one that takes the same."""

    def end(self, *, keep: bool, console: Console) -> None:
        """Take down what was made, or say how to use it."""


@dataclass(frozen=True)
class Laptop:
    """The embedded engine, in a folder of the story's own."""

    home: Path
    title: str = "turnout up: the embedded engine"
    label_window: str = "2s"

    def prepare(self) -> None:
        """Steps, clients and controller find everything by this kubeconfig, never by one that the user has."""
        os.environ.update({"TURNOUT_HOME": str(self.home), "KUBECONFIG": str(self.home / "kubeconfig")})
        lifecycle.down(self.home)
        shutil.rmtree(self.home, ignore_errors=True)

    def begin(self) -> None:
        """Start the engine."""
        lifecycle.up(self.home, gateway_port=0)

    def endpoint(self) -> str:
        """A new engine has no other."""
        return "digits"

    @property
    def execute(self) -> Callable[..., runs.RunRecord]:
        """KFP's local runner."""
        return runs.execute

    def end(self, *, keep: bool, console: Console) -> None:
        """Stop the engine."""
        if not keep:
            lifecycle.down(self.home)
            return
        for name, url in lifecycle.status(self.home).urls.items():
            console.print(f"{name:12} {url}", soft_wrap=True)
        console.print(f"export TURNOUT_HOME={self.home} KUBECONFIG={self.home / 'kubeconfig'}", soft_wrap=True)


@dataclass(frozen=True)
class Cluster:
    """Turnout as it is installed somewhere. Nothing is started or stopped but what the story itself makes."""

    home: Path
    on_kfp: bool = False
    title: str = "the cluster that KUBECONFIG names"
    label_window: str = "10s"

    def prepare(self) -> None:
        """A folder for the runs; the cluster is left as it is."""
        os.environ["TURNOUT_HOME"] = str(self.home)
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)

    def begin(self) -> None:
        """Find everything, or say what is missing."""
        kube = client.connect()
        os.environ.update(discovery.object_store(kube))
        discovery.discover(kube)

    def endpoint(self) -> str:
        """The first of digits, digits-2, ... that the ledger's audit does not know: it never forgets a champion."""
        kube = client.connect()
        addresses = discovery.discover(kube)
        with LedgerClient(addresses.ledger_url, addresses.ledger_token) as ledger:
            number, name = 1, "digits"
            while ledger.audit(namespace=_NAMESPACE, turnout=name, limit=1)["rows"]:
                number += 1
                name = f"digits-{number}"
        return name

    @property
    def execute(self) -> Callable[..., runs.RunRecord]:
        """KFP's local runner, or the cluster's server."""
        return partial(on_kfp.execute, cluster=on_kfp.connect()) if self.on_kfp else runs.execute

    def end(self, *, keep: bool, console: Console) -> None:
        """Delete the endpoints of this and earlier stories and their versions; records stay in the ledger."""
        kube = client.connect()
        stories = [t for t in kube.list("Turnout", namespace=_NAMESPACE) if _is_ours(t["metadata"]["name"])]
        for turnout in stories:
            name = turnout["metadata"]["name"]
            if keep:
                console.print(f"kept: {(turnout.get('status') or {}).get('url', name)}", soft_wrap=True)
                continue
            kube.delete("Turnout", name, namespace=_NAMESPACE)
            for version in kube.list(
                "InferenceService", namespace=_NAMESPACE, labels={inferenceservices.ENDPOINT: name}
            ):
                kube.delete("InferenceService", version["metadata"]["name"], namespace=_NAMESPACE)


def _is_ours(name: str) -> bool:
    return name == "digits" or (name.startswith("digits-") and name.removeprefix("digits-").isdigit())
