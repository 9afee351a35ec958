"""Prometheus text from plain integers."""

from __future__ import annotations

from turnout.predictor.metrics import Metrics, Sheets, together

LABELS = 'model="digits",version="digits-v4"'


def test_replies_rows_and_durations_are_counted_per_model_and_version() -> None:
    metrics = Metrics(model="digits", version="digits-v4")
    for status in (404, 500):
        metrics.count_reply(status)
    metrics.count_batch(2, (0.0001, 0.001, 0.01, 0.0))
    metrics.count_predictions(4, [0.0002, 60.0])

    lines = list(metrics.lines())

    assert f'turnout_requests_total{{{LABELS},code="200"}} 2' in lines
    assert f"turnout_request_errors_total{{{LABELS}}} 2" in lines
    assert f"turnout_rows_total{{{LABELS}}} 4" in lines
    assert f"turnout_batches_total{{{LABELS}}} 1" in lines
    assert f'turnout_request_duration_seconds_bucket{{{LABELS},le="0.0001"}} 0' in lines
    assert f'turnout_request_duration_seconds_bucket{{{LABELS},le="0.00025"}} 1' in lines
    assert f'turnout_request_duration_seconds_bucket{{{LABELS},le="10.0"}} 1' in lines
    assert f'turnout_request_duration_seconds_bucket{{{LABELS},le="+Inf"}} 2' in lines
    assert f"turnout_request_duration_seconds_count{{{LABELS}}} 2" in lines


def test_a_duration_on_a_bound_belongs_to_it() -> None:
    metrics = Metrics(model="digits", version="digits-v4")
    metrics.count_predictions(1, [0.001])

    assert f'turnout_request_duration_seconds_bucket{{{LABELS},le="0.001"}} 1' in list(metrics.lines())


def test_every_worker_tells_the_sum_of_all() -> None:
    sheets = Sheets(2)
    first, second = (Metrics(model="digits", version="digits-v4", sheets=sheets, worker=index) for index in (0, 1))
    first.count_reply(200)
    second.count_reply(200)
    second.count_reply(503)
    second.mirror(["# HELP backlog", "backlog{a} 5", "ledger_up{a} 0"])

    own = ["# HELP backlog", "backlog{a} 7", "ledger_up{a} 1"]
    for metrics, mirrored in ((first, own), (second, ["backlog{a} 5", "ledger_up{a} 0"])):
        lines = list(metrics.lines(mirrored))
        assert f'turnout_requests_total{{{LABELS},code="200"}} 2' in lines
        assert f"turnout_request_errors_total{{{LABELS}}} 1" in lines
        assert "backlog{a} 12" in lines
        assert "ledger_up{a} 0" in lines  # the worst, not the sum


def test_phases_are_counted_for_every_request_of_a_batch() -> None:
    metrics = Metrics(model="digits", version="digits-v4")
    metrics.count_batch(3, (0.0002, 0.002, 0.0, 20.0))

    lines = list(metrics.lines())

    name = "turnout_phase_duration_seconds"
    for phase in ("decode", "predict", "encode", "record"):
        assert f'{name}_count{{{LABELS},phase="{phase}"}} 3' in lines
    assert f'{name}_sum{{{LABELS},phase="predict"}} 0.006' in lines
    assert f'{name}_bucket{{{LABELS},phase="record",le="10.0"}} 0' in lines


def test_several_versions_share_the_description_of_a_metric() -> None:
    found = together([["# HELP a A.", "# TYPE a counter", "a{v1} 1"], ["# HELP a A.", "# TYPE a counter", "a{v2} 2"]])

    assert found == ["# HELP a A.", "# TYPE a counter", "a{v1} 1", "a{v2} 2"]
