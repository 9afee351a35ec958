"""One leader among replicas, by a Lease as Kubernetes' own controllers use it.

The Lease only keeps replicas from working at the same time; what makes two leaders harmless is the fence: a new leader
writes its term (the Lease's count of transitions) into every state that it takes over, so that whoever was paused and
wakes finds the generation that it read gone, and its route's resourceVersion with it.
"""

from __future__ import annotations

import datetime
import logging
import secrets
import time
from collections.abc import Callable
from typing import Any

from turnout.errors import Conflict, NotFound
from turnout.kube.client import Kube
from turnout.kube.discovery import SYSTEM_NAMESPACE

__all__ = ["NAME", "Leadership"]

log = logging.getLogger(__name__)

NAME = "turnout-controller"


class Leadership:
    """Takes, keeps and gives back the Lease. `term` is 0 while somebody else leads.

    A holder's clock is never compared with ours: its Lease counts as lost when it has not changed for the Lease's
    duration by our own monotonic clock. Only a process that has just started takes it at once from a former one of the
    same `name` (a Pod's, a machine's): there is one process per name, so the former one is dead or about to be fenced.
    """

    def __init__(
        self, kube: Kube, name: str, *, duration_s: float = 15.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kube, self._duration_s, self._clock = kube, duration_s, clock
        self._name, self._identity = name, f"{name}_{secrets.token_hex(4)}"
        self._is_new = True
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = 0.0
        self._renewed_at = 0.0
        self.term = 0

    def hold(self) -> int:
        """Try to be leader; the term, or 0. To be called more often than the duration has thirds.

        Raises:
            Unavailable: the API server does not answer; leadership ends when the Lease would have run out.
        """
        if self.term and self._clock() - self._renewed_at > self._duration_s:
            log.warning("lost the lead: no renewal within %.0f s", self._duration_s)
            self.term = 0
        if self.term and self._clock() - self._renewed_at < self._duration_s / 3:
            return self.term
        try:
            self._try()
        except Conflict:
            self.term = 0
        self._is_new = False
        return self.term

    def release(self) -> None:
        """Give the Lease back, so that the next one need not wait."""
        if not self.term:
            return
        lease = self._kube.get("Lease", NAME, namespace=SYSTEM_NAMESPACE)
        if lease["spec"].get("holderIdentity") == self._identity:
            self._write(lease, {"holderIdentity": "", "renewTime": _now()})
        self.term = 0

    def _try(self) -> None:
        asked_at = self._clock()
        try:
            lease = self._kube.get("Lease", NAME, namespace=SYSTEM_NAMESPACE)
        except NotFound:
            lease = self._kube.create(_lease(self._fields(transitions=1)))
            self._lead(lease, asked_at)
            return
        spec = lease["spec"]
        holder, transitions = spec.get("holderIdentity") or "", int(spec.get("leaseTransitions") or 0)
        if holder == self._identity and transitions == self.term:
            self._lead(self._write(lease, {"renewTime": _now()}), asked_at)
        elif holder in ("", self._identity) or self._succeeds(holder) or self._has_run_out(spec):
            self._lead(self._write(lease, self._fields(transitions=transitions + 1)), asked_at)
        else:
            self.term = 0

    def _succeeds(self, holder: str) -> bool:
        return self._is_new and holder.rpartition("_")[0] == self._name

    def _has_run_out(self, spec: dict[str, Any]) -> bool:
        seen = (str(spec.get("holderIdentity")), str(spec.get("renewTime")))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        return self._clock() - self._seen_at > float(spec.get("leaseDurationSeconds") or self._duration_s)

    def _lead(self, lease: dict[str, Any], asked_at: float) -> None:
        term = int(lease["spec"]["leaseTransitions"])
        if term != self.term:
            log.info("%s leads, term %d", self._identity, term)
        self.term, self._renewed_at = term, asked_at

    def _write(self, lease: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
        body = {"metadata": {"resourceVersion": lease["metadata"]["resourceVersion"]}, "spec": fields}
        return self._kube.patch("Lease", NAME, namespace=SYSTEM_NAMESPACE, body=body)

    def _fields(self, *, transitions: int) -> dict[str, Any]:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._duration_s)),
            "acquireTime": _now(),
            "renewTime": _now(),
            "leaseTransitions": transitions,
        }


def _lease(spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": NAME, "namespace": SYSTEM_NAMESPACE}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
