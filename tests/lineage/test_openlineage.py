"""Events of the OpenLineage standard, by the shape that its specification 2-0-2 demands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from tests.lineage.traces import PREDICTION, origin, trace
from turnout.lineage import openlineage
from turnout.lineage.tracing import Origin, Trace

_URI = re.compile(r"https://[^\s]+")


@pytest.mark.parametrize(
    "traced", [trace(), trace(origin=Origin()), trace(prediction="word", weights=None, rev=None, outcome=None)]
)
def test_every_event_has_what_the_standard_demands(traced: Trace) -> None:
    for event in openlineage.events(traced):
        assert event["eventType"] in {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}
        assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
        assert _URI.fullmatch(event["producer"])
        assert event["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
        UUID(event["run"]["runId"])
        for named in (event["job"], *event["inputs"], *event["outputs"]):
            assert named["namespace"]
            assert named["name"]
        for facet in _facets(event):
            assert _URI.fullmatch(facet["_producer"])
            assert _URI.fullmatch(facet["_schemaURL"])


def test_sources_lead_to_the_snapshot_it_to_the_version_and_that_to_the_prediction() -> None:
    ingest, train, served = openlineage.events(trace())
    assert [(source["namespace"], source["name"]) for source in ingest["inputs"]] == [
        ("file", "/data/pixels.csv"),
        ("s3://bucket", "/labels.csv"),
        ("ledger://digits", "digits"),
    ]
    assert _names(ingest["outputs"]) == _names(train["inputs"]) == ["snapshots/snap-0123456789abcdef"]
    assert _names(train["outputs"]) == _names(served["inputs"]) == ["default/digits-v2"]
    assert _names(served["outputs"]) == [f"default/digits/predictions/{PREDICTION}"]


def test_digests_are_versions_of_datasets() -> None:
    ingest, _, served = openlineage.events(trace())
    assert ingest["inputs"][0]["facets"]["version"]["datasetVersion"] == f"sha256:{'cd' * 32}"
    assert ingest["inputs"][0]["inputFacets"]["dataQualityMetrics"]["rowCount"] == 750
    assert served["inputs"][0]["facets"]["version"]["datasetVersion"] == origin().digest


def test_the_run_of_a_prediction_is_its_own_id() -> None:
    assert UUID(openlineage.events(trace())[-1]["run"]["runId"]).hex == PREDICTION


def test_what_nobody_knows_is_no_event() -> None:
    (served,) = openlineage.events(trace(origin=Origin()))
    assert served["job"]["name"] == "default/digits"


def _names(datasets: list[dict[str, Any]]) -> list[str]:
    return [dataset["name"] for dataset in datasets]


def _facets(value: Any) -> Iterator[dict[str, Any]]:
    for name, inner in value.items() if isinstance(value, dict) else ():
        if name in {"facets", "inputFacets", "outputFacets"}:
            yield from inner.values()
        for item in inner if isinstance(inner, list) else [inner]:
            yield from _facets(item)
