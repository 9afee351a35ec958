"""The stable predictor and its canaries: what a canary inherits, how it is named, how many processes each gets."""

from __future__ import annotations

from typing import Any

import pytest

from turnout.embedded.serving import variants

Object = dict[str, Any]


def isvc(*canaries: Object, scaler: str = "none", **predictor: Any) -> Object:
    return {
        "metadata": {"name": "fig", "annotations": {"serving.kserve.io/autoscalerClass": scaler}},
        "spec": {"predictor": {"model": {"storageUri": "one"}, **predictor}, "canary": list(canaries)},
    }


def canary(percent: int, **predictor: Any) -> Object:
    return {"trafficPercent": percent, "predictor": {"name": "v2", **predictor}}


def test_workloads_are_named_after_service_and_predictor() -> None:
    found = isvc(canary(10))
    assert variants.stable(found).workload == "fig-predictor"
    assert [entry.workload for entry in variants.canaries(found)] == ["fig-v2-predictor"]
    assert variants.stable(isvc(name="v2")).workload == "fig-v2-predictor"


def test_a_canary_inherits_what_it_does_not_say_and_replaces_lists_whole() -> None:
    stable = {"timeout": 8, "labels": {"a": "1", "b": "1"}, "model": {"args": ["x"], "storageUri": "one"}}
    own = {"labels": {"a": "2"}, "model": {"args": [], "storageUri": "two", "env": [{"name": "A"}], "name": ""}}
    assert variants.inherited(stable, own) == {
        "timeout": 8,
        "labels": {"a": "2", "b": "1"},
        "model": {"args": ["x"], "storageUri": "two", "env": [{"name": "A"}], "name": ""},
    }
    assert variants.inherited({"minReplicas": 3}, {"minReplicas": 0}) == {"minReplicas": 0}


@pytest.mark.parametrize(
    ("stable", "percent", "own", "scaler", "wanted"),
    [
        (3, 34, None, "none", 2),
        (None, 20, None, "none", 1),
        (3, 0, None, "none", 0),
        (3, 0, None, "hpa", 1),
        (3, 10, 2, "none", 2),
    ],
)
def test_a_canary_gets_its_share_of_the_processes_rounded_up(
    stable: int | None, percent: int, own: int | None, scaler: str, wanted: int
) -> None:
    entry = canary(percent, **({} if own is None else {"minReplicas": own}))
    found = isvc(entry, scaler=scaler, **({} if stable is None else {"minReplicas": stable}))
    assert variants.replicas(found, entry) == wanted


def test_ready_canaries_stand_in_for_processes_of_the_stable_predictor_but_never_for_the_last() -> None:
    assert variants.stable_replicas(isvc(minReplicas=4), []) == 4
    assert variants.stable_replicas(isvc(minReplicas=4), [2]) == 2
    assert variants.stable_replicas(isvc(minReplicas=2), [2, 1]) == 1
    assert variants.stable_replicas(isvc(), [1]) == 1
    assert variants.stable_replicas(isvc(minReplicas=0), []) == 0
