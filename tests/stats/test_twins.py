"""The arrays of the benchmark give every number of the shipped tests."""

from __future__ import annotations

import numpy as np
import pytest

from bench.decision.twins import LatencyTests, SampleRatios
from turnout.stats.alarms import SampleRatioAlarm
from turnout.stats.quantiles import LatencyTest


def test_latency_and_sample_ratio_on_arrays_are_the_shipped_ones() -> None:
    draw, size = np.random.default_rng(1), 3
    latency, ratio = LatencyTests(size, ratio=1.1), SampleRatios(size)
    shipped = [(LatencyTest(ratio=1.1), SampleRatioAlarm()) for _ in range(size)]
    for n in range(11_000):
        assigned = (draw.random(size) < 0.2).astype(float)
        ratio.update(assigned=assigned, share=0.25)
        duration = 1000 * draw.lognormal(size=size)
        if n < 1500:
            latency.update(duration=duration, assigned=assigned, share=0.2)
        for r, (times, counts) in enumerate(shipped):
            counts.update(assigned=bool(assigned[r]), share=0.25)
            if n < 1500:
                times.update(duration_us=float(duration[r]), assigned=bool(assigned[r]), share=0.2)
    assert latency.evidence == pytest.approx([times.evidence for times, _ in shipped], rel=1e-9)
    assert ratio.evidence == pytest.approx([counts.evidence for _, counts in shipped], rel=1e-9)
