"""Which pods a Deployment makes and ends: never one less ready than asked for, while that can be helped."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from turnout.embedded.serving import rollouts
from turnout.embedded.serving.rollouts import Step, next_step

Object = dict[str, Any]


def pod(name: str, *, template: str = "new", ready: bool = True) -> Object:
    return {
        "metadata": {"name": name, "labels": {rollouts.HASH: template}, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def step(*pods: Object, replicas: int) -> Step:
    return next_step(pods, template_hash="new", replicas=replicas)


def test_missing_pods_are_made_and_surplus_ones_ended_unready_first() -> None:
    assert step(replicas=2) == Step(create=2, delete=())
    assert step(pod("a"), pod("b", ready=False), replicas=1) == Step(create=0, delete=("b",))
    assert step(pod("a"), replicas=0) == Step(create=0, delete=("a",))


def test_an_old_pod_that_serves_stays_until_a_new_one_is_ready() -> None:
    old = pod("old", template="old")
    assert step(old, replicas=1) == Step(create=1, delete=())
    assert step(old, pod("fresh", ready=False), replicas=1) == Step(create=0, delete=())
    assert step(old, pod("fresh"), replicas=1) == Step(create=0, delete=("old",))


def test_an_old_pod_that_never_came_up_goes_at_once() -> None:
    assert step(pod("old", template="old", ready=False), replicas=1) == Step(create=1, delete=("old",))


def test_status_counts_pods_and_says_when_the_roll_out_is_complete() -> None:
    deployment = {"metadata": {"name": "d", "generation": 3}, "spec": {"replicas": 2}}
    half = rollouts.status(deployment, [pod("a"), pod("b", ready=False)], template_hash="new")
    assert (half["readyReplicas"], half["unavailableReplicas"]) == (1, 1)
    assert [c["reason"] for c in half["conditions"]] == ["MinimumReplicasUnavailable", "ReplicaSetUpdated"]
    full = rollouts.status(deployment, [pod("a"), pod("b")], template_hash="new")
    assert [c["reason"] for c in full["conditions"]] == ["MinimumReplicasAvailable", "NewReplicaSetAvailable"]
    assert full["observedGeneration"] == 3
    again = rollouts.status({**deployment, "status": full}, [pod("a")], template_hash="new")
    assert again["conditions"][1]["reason"] == "NewReplicaSetAvailable"  # a restarted pod is no new roll-out


pods = st.lists(st.tuples(st.sampled_from(["old", "new"]), st.booleans()), max_size=8)


@given(found=pods, replicas=st.integers(0, 8))
def test_a_step_never_takes_ready_pods_below_what_may_be_missing(found: list[tuple[str, bool]], replicas: int) -> None:
    present = [pod(str(number), template=template, ready=ready) for number, (template, ready) in enumerate(found)]
    taken = step(*present, replicas=replicas)
    ready = {entry["metadata"]["name"] for entry in present if rollouts.is_pod_ready(entry)}
    assert len(ready - set(taken.delete)) >= min(len(ready), replicas - replicas // 4)


@given(found=pods, replicas=st.integers(0, 8))
def test_steps_reach_the_wanted_state_when_new_pods_become_ready(found: list[tuple[str, bool]], replicas: int) -> None:
    present = [pod(str(number), template=template, ready=ready) for number, (template, ready) in enumerate(found)]
    for number in range(40):
        taken = step(*present, replicas=replicas)
        present = [entry for entry in present if entry["metadata"]["name"] not in taken.delete]
        present = [
            pod(entry["metadata"]["name"], template=entry["metadata"]["labels"][rollouts.HASH]) for entry in present
        ]
        present += [pod(f"made-{number}-{index}") for index in range(taken.create)]
    assert sorted(entry["metadata"]["labels"][rollouts.HASH] for entry in present) == ["new"] * replicas
