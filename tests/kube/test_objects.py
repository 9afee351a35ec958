from __future__ import annotations

import pytest

from turnout.errors import SpecError
from turnout.kube import httproutes, inferenceservices
from turnout.kube.httproutes import ManagedRoute
from turnout.kube.inferenceservices import Version


def managed(**weights: int) -> ManagedRoute:
    return ManagedRoute(
        turnout="digits",
        namespace="default",
        uid="u",
        host="digits.localhost",
        rev="k3x9",
        seats=[(name.replace("_", "-"), weight) for name, weight in weights.items()],
        forced=("digits-v1", "digits-v2"),
    )


def test_every_weighted_backend_stamps_its_version_probability_and_revision() -> None:
    route = httproutes.build(managed(digits_v1=80, digits_v2=20))
    backends = route["spec"]["rules"][0]["backendRefs"]
    stamps = [b["filters"][0]["requestHeaderModifier"]["set"][0]["value"] for b in backends]
    assert stamps == ["digits-v1;p=0.8;rev=k3x9", "digits-v2;p=0.2;rev=k3x9"]
    assert [b["weight"] for b in backends] == [80, 20]
    assert [b["name"] for b in backends] == ["digits-v1-predictor", "digits-v2-predictor"]


def test_forced_requests_lose_their_stamp_and_their_rules_come_last() -> None:
    rules = httproutes.build(managed(digits_v1=100))["spec"]["rules"]
    assert "headers" not in rules[0]["matches"][0]
    for rule, version in zip(rules[1:], ("digits-v1", "digits-v2"), strict=True):
        assert rule["matches"][0]["headers"] == [{"type": "Exact", "name": "x-turnout-version", "value": version}]
        assert rule["backendRefs"][0]["filters"][0]["requestHeaderModifier"] == {"remove": ["x-turnout-assigned"]}


def test_the_route_does_not_take_the_name_that_kserve_gives_to_its_own() -> None:
    assert httproutes.build(managed(digits_v1=100))["metadata"]["name"] != "digits"


def test_an_inferenceservice_carries_its_lineage() -> None:
    version = Version("digits-v4", "digits", "file:///m", "sha256:00", run="r1", snapshot="snap-1", commit="abc")
    obj = inferenceservices.build(version, namespace="default")
    notes = obj["metadata"]["annotations"]
    assert notes["turnout.dev/digest"] == "sha256:00"
    assert (notes["turnout.dev/run"], notes["turnout.dev/snapshot"]) == ("r1", "snap-1")
    assert obj["spec"]["predictor"]["model"]["storageUri"] == "file:///m"


def test_a_name_that_kserve_could_not_serve_is_refused_before_it_is_applied() -> None:
    with pytest.raises(SpecError, match="may have 52 characters together, found 56"):
        inferenceservices.build(Version("d" * 49, "d", "file:///m", "x"), namespace="default")


def test_a_version_without_onnx_is_served_by_scikit_learn() -> None:
    version = Version("digits-v4", "digits", "file:///m", "sha256:00", form="skops")
    model = inferenceservices.build(version, namespace="default")["spec"]["predictor"]["model"]

    assert (model["modelFormat"], model["runtime"]) == ({"name": "sklearn"}, "turnout-sklearn")
