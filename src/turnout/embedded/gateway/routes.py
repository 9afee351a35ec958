"""HTTPRoutes -> Envoy: the whole configuration from the whole store at every change, and what came of it as status.

Rebuilding everything is cheap (milliseconds for hundreds of routes) and forgets nothing. A route that Envoy refuses is
taken out alone and told so; the others go on.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from turnout.embedded.gateway import attaching, conditions, envoy, policies, resolving, xds
from turnout.embedded.gateway.references import World
from turnout.embedded.gateway.resolving import Resolved
from turnout.embedded.serving import pods, rollouts
from turnout.embedded.store import Key, Store
from turnout.embedded.supervision.processes import Phase, Supervisor
from turnout.errors import NotFound

__all__ = ["EVERYTHING", "PROCESS", "RouteReconciler"]

_log = logging.getLogger(__name__)

Object = dict[str, Any]

EVERYTHING: Key = ("HTTPRoute", "", "*")  # there is one key: the route table is one
PROCESS = "turnout.dev/process"  # on a Service: the system process behind it

_ENVOY = "envoy"
_POLICY, _GRANT = "BackendTrafficPolicy", "ReferenceGrant"
_KINDS = frozenset({"HTTPRoute", "Service", "Pod", "Gateway", "Namespace", _POLICY, _GRANT})
_RETRY_S = 0.05

_Identity = tuple[str, int]  # uid and generation: one text of a route
_Written = tuple[Key, int, int]  # its resourceVersion before and after
_Label = tuple[str, str, str]  # namespace, key, value


@dataclass(frozen=True)
class _Seen:
    """Everything that the route table is made of, by its versions."""

    versions: Mapping[Key, int]
    processes: frozenset[tuple[str, int, int, str]]

    def after(self, written: Iterable[_Written | None]) -> _Seen:
        """With these writes, each from one version to the next; one that came upon another version is not known."""
        known = {key: new for key, old, new in filter(None, written) if self.versions.get(key) == old}
        return replace(self, versions={**self.versions, **known})


class RouteReconciler:
    """Keeps Envoy at what the store says."""

    def __init__(self, store: Store, supervisor: Supervisor, publisher: xds.Publisher) -> None:
        self._store, self._supervisor, self._publisher = store, supervisor, publisher
        # An adopted Envoy leads where an earlier engine has told it to.
        self._served = publisher.listening()
        self._taken: set[_Identity] = set()
        self._refused: dict[_Identity, str] = {}
        self._envoy_pid = 0
        self._settled: _Seen | None = None

    def keys(self) -> list[Key]:
        """The one key."""
        return [EVERYTHING]

    def affected(self, changed: Key) -> list[Key]:
        """The one key, for everything that a route table is made of."""
        return [EVERYTHING] if changed[0] in _KINDS else []

    def is_served(self, port: int) -> bool:
        """Whether Envoy may still send requests to this port."""
        return port in self._served

    def reconcile(self, key: Key) -> float | None:
        """Publish, then report; again soon when Envoy has not answered."""
        seen = self._seen()
        if seen == self._settled:
            return None  # what changed was what this reconciler has reported itself
        world = self._world()
        routes = self._store.list("HTTPRoute")
        found = [(route, attaching.parents(route, world)) for route in routes]
        resolved = [resolving.resolve(route, parents, world) for route, parents in found if parents]
        taken = [entry for entry in resolved if entry.hosts]
        runs = self._publish(taken, world)
        if not runs and self._is_running():
            return _RETRY_S  # it is slow; nothing is reported that it has not taken
        overlapping = resolving.overlaps(taken)
        written = [self._report(entry, overlapping=overlapping.get(entry.key, [])) for entry in resolved]
        written += [self._report_policy(policy, world, routes) for policy in world.policies]
        self._settled = seen.after(written) if runs else None
        return None if runs else _RETRY_S

    # What there is

    def _seen(self) -> _Seen:
        states = self._supervisor.states()
        processes = frozenset((state.name, state.pid, state.port, state.phase) for state in states)
        return _Seen(versions=self._store.versions(_KINDS), processes=processes)

    def _world(self) -> World:
        services = {_key(service): service for service in self._store.list("Service")}
        ready = _by_label(pod for pod in self._store.list("Pod") if rollouts.is_pod_ready(pod))
        return World(
            gateways={_key(gateway): gateway for gateway in self._store.list("Gateway")},
            services=services,
            namespaces={
                namespace["metadata"]["name"]: namespace["metadata"].get("labels") or {}
                for namespace in self._store.list("Namespace")
            },
            grants=self._store.list(_GRANT),
            policies=self._store.list(_POLICY),
            listening={
                envoy.cluster_name(*key, int(entry["port"])): self._endpoints(service, ready)
                for key, service in services.items()
                for entry in service["spec"].get("ports") or ()
            },
        )

    def _endpoints(self, service: Object, ready: Mapping[_Label, set[str]]) -> frozenset[int]:
        """The ports behind a Service: of its pods, or of the system process that it names."""
        namespace, spec = service["metadata"]["namespace"], service["spec"]
        if process := (service["metadata"].get("annotations") or {}).get(PROCESS):
            return self._ports([process])
        carrying = [ready.get((namespace, *label), set()) for label in (spec.get("selector") or {}).items()]
        chosen = set.intersection(*carrying) if carrying else set()
        return self._ports([pods.process_of(namespace, name) for name in chosen])

    def _ports(self, processes: Sequence[str]) -> frozenset[int]:
        states = (self._supervisor.state(process) for process in processes)
        return frozenset(state.port for state in states if state is not None and state.phase == Phase.RUNNING)

    # What becomes of it

    def _publish(self, routes: Sequence[Resolved], world: World) -> bool:
        """Publish all routes that Envoy has not refused; when it refuses, find out which one it was."""
        self._notice_new_envoy()
        candidates = [entry for entry in routes if _identity(entry) not in self._refused]
        try:
            return self._try(candidates, world)
        except xds.Rejected as error:
            _log.warning("Envoy refused a route table: %s", error)
        return self._publish_one_by_one(candidates, world)

    def _publish_one_by_one(self, candidates: Sequence[Resolved], world: World) -> bool:
        """The routes that it took before first, then each new one on top of those."""
        good = [entry for entry in candidates if _identity(entry) in self._taken]
        runs = self._try(good, world)
        for suspect in (entry for entry in candidates if _identity(entry) not in self._taken):
            try:
                runs = self._try([*good, suspect], world)
                good.append(suspect)
            except xds.Rejected as error:
                _log.warning("HTTPRoute %s is left out: %s", "/".join(suspect.key), error)
                self._refused[_identity(suspect)] = str(error)
        return self._try(good, world) and runs

    def _try(self, routes: Sequence[Resolved], world: World) -> bool:
        wanted = xds.Configuration.of(resolving.table(routes), listening=world.listening)
        self._served |= wanted.listening  # old and new, until Envoy has taken the new
        runs = self._publisher.publish(wanted)
        if runs or not self._is_running():
            self._served = wanted.listening
        if runs:
            self._taken = {_identity(entry) for entry in routes}
        return runs

    def _is_running(self) -> bool:
        state = self._supervisor.state(_ENVOY)
        return state is not None and state.phase == Phase.RUNNING

    def _notice_new_envoy(self) -> None:
        state = self._supervisor.state(_ENVOY)
        pid = state.pid if state is not None else 0
        if pid not in (0, self._envoy_pid):
            if self._envoy_pid:
                self._publisher.forget()
            self._envoy_pid = pid

    def _report(self, entry: Resolved, *, overlapping: Sequence[str]) -> _Written | None:
        refused = self._refused.get(_identity(entry), "")
        found = [
            (parent.reference, conditions.conditions(entry, parent, overlapping=overlapping, refused=refused))
            for parent in entry.parents
        ]
        return self._write("HTTPRoute", entry.route, conditions.with_parents(entry.route, found))

    def _report_policy(self, policy: Object, world: World, routes: Sequence[Object]) -> _Written | None:
        found = policies.conditions(policy, world, routes)
        if not found and not policy.get("status"):
            return None  # it reaches nothing, and nobody has anything to say of it
        return self._write(_POLICY, policy, conditions.with_ancestors(policy, found))

    def _write(self, kind: str, seen: Object, wanted: Object) -> _Written | None:
        """Write the status of what was seen; if it has changed since, the next look will."""
        if wanted == seen:
            return None
        metadata, found = seen["metadata"], seen

        def change(current: Object) -> Object:
            nonlocal found
            found = current
            is_same = current["metadata"]["generation"] == metadata["generation"]
            return {**current, "status": wanted["status"]} if is_same else current

        with contextlib.suppress(NotFound):
            written = self._store.mutate(kind, metadata["name"], metadata["namespace"], change, status=True)
            return (kind, *_key(seen)), _version(found), _version(written)
        return None


def _identity(entry: Resolved) -> _Identity:
    metadata = entry.route["metadata"]
    return (metadata["uid"], metadata["generation"])


def _by_label(found: Iterable[Object]) -> dict[_Label, set[str]]:
    """The names of the pods that carry a label."""
    names: dict[_Label, set[str]] = {}
    for metadata in (pod["metadata"] for pod in found):
        for label in (metadata.get("labels") or {}).items():
            names.setdefault((metadata["namespace"], *label), set()).add(metadata["name"])
    return names


def _version(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])


def _key(obj: Object) -> tuple[str, str]:
    return (obj["metadata"]["namespace"], obj["metadata"]["name"])
