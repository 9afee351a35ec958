"""Prometheus text from plain integers."""

from __future__ import annotations

from turnout.predictor.metrics import Metrics

LABELS = 'model="digits",version="digits-v4"'


def test_replies_rows_and_durations_are_counted_per_model_and_version() -> None:
    metrics = Metrics(model="digits", version="digits-v4")
    for status in (200, 200, 404, 500):
        metrics.count_reply(status)
    metrics.count_batch(2, decode_s=0.0001, predict_s=0.001, encode_s=0.01)
    metrics.count_recording(2, duration_s=0.0)
    metrics.count_prediction(rows=3, duration_s=0.0002)
    metrics.count_prediction(rows=1, duration_s=60.0)

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
    metrics.count_prediction(rows=1, duration_s=0.001)

    assert f'turnout_request_duration_seconds_bucket{{{LABELS},le="0.001"}} 1' in list(metrics.lines())
