from __future__ import annotations

import pytest

from tests.controller.fakes import FakeKube
from turnout.controller.leasing import NAME, Leadership
from turnout.errors import Unavailable


class Replicas:
    """Two controllers, one clock."""

    def __init__(self) -> None:
        self.kube, self.now = FakeKube(), 0.0
        self.a, self.b = self.replica("a"), self.replica("b")

    def replica(self, name: str) -> Leadership:
        return Leadership(self.kube, name, duration_s=15, clock=lambda: self.now)

    def both(self, seconds: float) -> tuple[int, int]:
        self.now += seconds
        return self.a.hold(), self.b.hold()


def test_one_of_two_leads_for_as_long_as_it_renews() -> None:
    replicas = Replicas()
    assert {replicas.both(4) for _ in range(20)} == {(1, 0)}


def test_when_the_leader_falls_silent_the_other_takes_over_with_the_next_term() -> None:
    replicas = Replicas()
    replicas.both(0)
    for _ in range(5):
        replicas.now += 4
        led = replicas.b.hold()
    assert led == 2
    assert replicas.a.hold() == 0  # it wakes, and knows


def test_a_paused_leader_does_not_lead_on_when_it_wakes_before_anybody_took_over() -> None:
    replicas = Replicas()
    replicas.both(0)
    replicas.now += 60
    assert replicas.a.hold() == 2  # its lease had run out: it begins a term of its own


def test_a_leader_that_leaves_hands_over_at_once() -> None:
    replicas = Replicas()
    replicas.both(0)
    replicas.a.release()
    assert replicas.b.hold() == 2


def test_a_restarted_process_takes_over_from_its_former_self_without_waiting_and_fences_it() -> None:
    replicas = Replicas()
    replicas.both(0)
    again = replicas.replica("a")
    assert again.hold() == 2
    replicas.now += 6
    assert replicas.a.hold() == 0
    replicas.now += 1
    assert (again.hold(), replicas.a.hold()) == (2, 0)


def test_without_the_api_server_a_leader_leads_until_its_lease_has_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    replicas = Replicas()
    replicas.both(0)

    def away(*_: object, **__: object) -> None:
        raise Unavailable("the API server is away")

    monkeypatch.setattr(replicas.kube, "get", away)
    replicas.now += 4
    assert replicas.a.hold() == 1
    replicas.now += 4
    with pytest.raises(Unavailable):
        replicas.a.hold()
    assert replicas.a.term == 1
    replicas.now += 10
    with pytest.raises(Unavailable):
        replicas.a.hold()
    assert replicas.a.term == 0


def test_the_lease_is_one_that_kubernetes_would_take() -> None:
    replicas = Replicas()
    replicas.both(0)
    lease = replicas.kube.objects["Lease", NAME]
    assert lease["apiVersion"] == "coordination.k8s.io/v1"
    assert lease["spec"]["holderIdentity"].startswith("a_")
    assert (lease["spec"]["leaseDurationSeconds"], lease["spec"]["leaseTransitions"]) == (15, 1)
