"""One reconcile of one Turnout: observe, decide, act, report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from turnout.controller import acting, blinding, decision, observing, probing, reporting, shadowing, telling
from turnout.controller.aliases import Wanted
from turnout.controller.measuring import Metrics
from turnout.controller.observing import Ledger, Turn, World
from turnout.controller.records import Decision, Observed
from turnout.controller.rollout import Rollout
from turnout.controller.weighing import renewed
from turnout.errors import SpecError, Unavailable
from turnout.kube import orders
from turnout.kube.client import Kube
from turnout.kube.freezing import frozen
from turnout.kube.turnouts import default_host, read_spec

__all__ = ["Controller"]


class _Aliases(Protocol):
    def follow(self, key: str, rollout: Rollout) -> Wanted | None: ...


class _Prober(Protocol):
    def look(self, turn: Turn, kube: Kube) -> Rollout: ...


@dataclass
class Controller:
    """What reconciles have in common. Only `_in_sync_us` is remembered between them, and nothing depends on it but how
    much evidence is thrown away when somebody else changes a route."""

    kube: Kube
    ledger: Ledger
    aliases: _Aliases
    prober: _Prober
    metrics: Metrics = field(default_factory=Metrics)
    _in_sync_us: dict[str, int] = field(default_factory=dict)

    def reconcile(self, turnout: dict[str, Any], world: World, *, term: int) -> None:
        """Bring one Turnout a step closer to where its policy wants it.

        Errors of the ledger or the API server are raised; the next round tries again from what was committed.

        Args:
            turnout: the object.
            world: what was seen of all others.
            term: the leader's; state of a later one is not touched.
        """
        if turnout["metadata"].get("deletionTimestamp"):
            return
        try:
            spec = read_spec(turnout)
        except SpecError as error:
            reporting.refuse(self.kube, turnout, reason="InvalidSpec", message=str(error))
            return
        name, namespace = turnout["metadata"]["name"], turnout["metadata"]["namespace"]
        host = spec.host or default_host(name, namespace, world.domain)
        if owner := _older_claim(turnout, host, world):
            told = f"the host {host} belongs to the older Turnout {owner}"
            reporting.refuse(self.kube, turnout, reason="Conflict", message=told)
            return
        try:
            turn = observing.observe(turnout, spec, host, self.ledger, term=term, world=world)
        except Unavailable as error:
            blinding.endure(turnout, spec, world, self.kube, host=host, why=str(error))
            raise
        self._step(turn, world, term=term)

    def _step(self, turn: Turn, world: World, *, term: int) -> None:
        turnout, spec = turn.turnout, turn.spec
        restored = acting.taint(turn, world, self.ledger, term=term, in_sync_us=self._in_sync_us.get(turn.key, 0))
        order, bad_order = _order(turnout)
        probed = self.prober.look(turn, self.kube)
        is_probing = bool(spec.sticky.header) and probed.probed.get("header") != spec.sticky.header
        waits = frozen(spec.policy.freeze, world.now_us) or ("the gateway is being probed" if is_probing else "")
        decisions = [*self._moved(turn, probed, world), *_decide(turn, world, order, waits)]
        acting.commit(turn, decisions, self.ledger, term=term)
        self.metrics.count_decisions(decisions)
        in_sync = acting.act(turn, world, self.kube)
        probing.ensure(turn, self.kube, world.policies)
        if in_sync:
            self._in_sync_us[turn.key] = world.now_us
        seen = reporting.Seen(
            host=turn.host,
            ready=world.ready(turn.namespace),
            challengers=spec.challengers,
            waiting_for=turn.waiting_for,
            tests=turn.running,
            frozen=waits,
            route_in_sync=not restored,
            sticky=spec.sticky.header,
            shadows=shadowing.status(turn.shadows, spec, world.ready(turn.namespace)),
            bad_order=bad_order,
            leaving=world.leaving(turn.namespace),
            missing=world.missing(turn),
            too_old_after_us=world.now_us - spec.policy.max_age,
        )
        reporting.report(self.kube, turnout, turn.rollout, seen)
        self._tell(turn, term=term)
        if order is not None and turn.rollout.last_order.get("id") == order.id:
            self._take_off(turnout)

    def _moved(self, turn: Turn, probed: Rollout, world: World) -> list[Decision]:
        """What was found out beside the evidence: stickiness, and aliases that have moved."""
        if probed.sticky != turn.rollout.sticky:
            # Stamps say whose unit a request is: other stamps are another revision.
            probed = renewed(probed, rev=acting.new_rev(), now_us=world.now_us)
        turn.rollout = probed
        found = self.aliases.follow(turn.key, turn.rollout)
        if found is None:
            return []
        turn.rollout = replace(turn.rollout, aliases=found)
        sentence = f"MLflow's aliases: champion is {found[0]}, challenger is {found[1] or 'nobody'}"
        return [Decision("alias", str(found[0]), turn.rollout, sentence)]

    def _tell(self, turn: Turn, *, term: int) -> None:
        """Write the Events that are due, then forget them; who dies in between tells them again, to no effect."""
        if not turn.unreported:
            return
        for told in turn.unreported:
            telling.tell(self.kube, turn.turnout, told)
        turn.unreported = []
        acting.save(turn, self.ledger, [], term=term)

    def _take_off(self, turnout: Mapping[str, Any]) -> None:
        metadata = turnout["metadata"]
        body = {
            "metadata": {
                "resourceVersion": metadata.get("resourceVersion"),
                "annotations": {orders.ANNOTATION: None},
            }
        }
        self.kube.patch("Turnout", metadata["name"], namespace=metadata["namespace"], body=body)


def _order(turnout: Mapping[str, Any]) -> tuple[orders.Order | None, str]:
    try:
        return orders.read(turnout), ""
    except SpecError as error:
        return None, str(error)


def _older_claim(turnout: Mapping[str, Any], host: str, world: World) -> str | None:
    """The Turnout that holds the host already: the older one keeps it."""

    def age(obj: Mapping[str, Any]) -> tuple[str, str, str]:
        metadata = obj["metadata"]
        return (metadata.get("creationTimestamp") or "", metadata["namespace"], metadata["name"])

    for other in world.turnouts:
        metadata = other["metadata"]
        other_host = (other.get("spec") or {}).get("host") or default_host(
            metadata["name"], metadata["namespace"], world.domain
        )
        if other_host == host and age(other) < age(turnout):
            return f"{metadata['namespace']}/{metadata['name']}"
    return None


def _decide(turn: Turn, world: World, order: orders.Order | None, waits: str) -> list[Decision]:
    """Decisions until none follows; each sees the state that the one before left."""
    decisions: list[Decision] = []
    while True:
        observed = Observed(
            challengers=turn.spec.challengers,
            ready=world.ready(turn.namespace),
            policy=turn.spec.policy,
            now_us=world.now_us,
            frozen=waits,
            blind=observing.blindness(turn, world.route(turn)),
            order=order,
            leaving=world.leaving(turn.namespace),
            missing=world.missing(turn),
        )
        made = decision.decide(turn.rollout, observed, turn.running, new_rev=acting.new_rev)
        if made is None:
            return decisions
        turn.keep_tests()
        decisions.append(made)
        turn.rollout = made.rollout
        turn.running = observing.current_tests(turn)
