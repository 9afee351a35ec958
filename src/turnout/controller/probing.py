"""Whether the gateway keeps users on one version: tried on a route of its own before the first weight depends on it.

The probe's route has the champion behind it twice, under two names that the answer carries; it hears
`GET /v2/health/ready` from made-up users. One policy covers probe and managed route, so that what is seen on the one
holds for the other.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import httpx

from turnout.controller.observing import Turn
from turnout.controller.rollout import Rollout
from turnout.errors import InputError, NotFound
from turnout.kube import httproutes
from turnout.kube.client import Kube

__all__ = ["Gateway", "HttpGateway", "Prober", "ensure"]

_USERS, _TIMES = 16, 3
_PATIENCE_S = 30.0  # a load-balancing policy took a real gateway 5 to 15 s to honour
_SIDE = "x-turnout-probe"


class Gateway(Protocol):
    """Who answers a request of one user to a host: one of the probe's two names, or nothing."""

    def side(self, host: str, header: str, user: str) -> str | None: ...


class HttpGateway:
    """The real one."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=2.0, trust_env=False)

    def side(self, host: str, header: str, user: str) -> str | None:
        """Ask once; an answer without a name is none."""
        try:
            reply = self._http.get("/v2/health/ready", headers={"Host": host, header: user})
        except httpx.TransportError:
            return None
        side: str | None = reply.headers.get(_SIDE)
        return side


class Prober:
    """Finds out, once per Turnout and header; remembered in the state."""

    def __init__(self, gateway: Gateway, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._gateway, self._clock = gateway, clock
        self._since: dict[str, float] = {}

    def look(self, turn: Turn, kube: Kube) -> Rollout:
        """The state with what is known of stickiness now. Objects of the probe come and go with it."""
        rollout, header = turn.rollout, turn.spec.sticky.header
        if rollout.champion is None or rollout.probed.get("header", "") == header:
            return rollout
        if not header:
            _remove(turn, kube, policy=True)
            return replace(rollout, sticky="", probed={})
        began = self._since.setdefault(turn.key, self._clock())
        problem = self._problem(turn, kube, header)
        if problem and self._clock() - began < _PATIENCE_S:
            return rollout
        self._since.pop(turn.key)
        _remove(turn, kube, policy=bool(problem))
        return replace(
            rollout, sticky="" if problem else header, probed={"header": header, "found": problem or "works"}
        )

    def _problem(self, turn: Turn, kube: Kube, header: str) -> str:
        """Why users are not kept; empty when they are. Chance alone would pass with probability below 1e-9."""
        host = f"probe.{turn.host}"
        try:
            kube.apply(_policy(turn, header, probe=True), manager="turnout-controller")
            kube.apply(_route(turn, host), manager="turnout-controller")
        except (NotFound, InputError) as error:
            return f"the gateway has no policy for it ({error})"
        sides = set()
        for _ in range(_USERS):
            user = secrets.token_hex(8)
            met = {self._gateway.side(host, header, user) for _ in range(_TIMES)}
            if None in met:
                return "the gateway does not answer on the probe's route"
            if len(met) > 1:
                return "equal values meet different versions"
            sides |= met
        return "" if len(sides) > 1 else "all users meet the same version, whatever the weights"


def ensure(turn: Turn, kube: Kube, policies: Mapping[tuple[str, str], Mapping[str, Any]] | None) -> None:
    """Keep the managed route's policy as it must be; somebody may have edited it."""
    name, header = httproutes.route_name(turn.name), turn.rollout.sticky
    if not header:
        return
    wanted = _policy(turn, header, probe=False)
    found = (policies or {}).get((turn.namespace, name))
    if found is None or found.get("spec") != wanted["spec"]:
        kube.apply(wanted, manager="turnout-controller")


def _policy(turn: Turn, header: str, *, probe: bool) -> dict[str, Any]:
    names = [httproutes.route_name(turn.name), *([_name(turn)] if probe else [])]
    owner = httproutes.owner(turn.name, turn.turnout["metadata"]["uid"])
    return httproutes.policy(names, namespace=turn.namespace, owned_by=owner, header=header)


def _name(turn: Turn) -> str:
    return f"{turn.name}-probe"


def _route(turn: Turn, host: str) -> dict[str, Any]:
    backends = [
        {
            **httproutes.backend(str(turn.rollout.champion)),
            "weight": 1,
            "filters": [
                {
                    "type": "ResponseHeaderModifier",
                    "responseHeaderModifier": {"set": [{"name": _SIDE, "value": side}]},
                }
            ],
        }
        for side in ("left", "right")
    ]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": _name(turn),
            "namespace": turn.namespace,
            "ownerReferences": [httproutes.owner(turn.name, turn.turnout["metadata"]["uid"])],
        },
        "spec": {
            "parentRefs": [httproutes.GATEWAY],
            "hostnames": [host],
            "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": backends}],
        },
    }


def _remove(turn: Turn, kube: Kube, *, policy: bool) -> None:
    kube.delete("HTTPRoute", _name(turn), namespace=turn.namespace)
    if policy:
        kube.delete("BackendTrafficPolicy", httproutes.route_name(turn.name), namespace=turn.namespace)
