"""Published numbers that an implementation of the methods around ours must give."""

from __future__ import annotations

import numpy as np
import pytest

from bench.decision import rivals


def test_normal_mixtures_give_the_reference_values_of_confseq() -> None:
    # Howard, Ramdas, McAuliffe and Sekhon (Ann. Stat. 49(2), 2021): unit tests of the authors' confseq, v = 100.
    rho = rivals.best_rho(100, 0.05)
    assert rho == pytest.approx(12.60056, abs=1e-5)
    assert rivals.normal_mixture(10, 100, rho) == pytest.approx(-0.6510052, abs=1e-6)
    assert rivals.normal_mixture_bound(100, rho, 0.05) == pytest.approx(30.35209, abs=1e-5)
    one_sided = rivals.best_rho(100, 0.10)
    assert float(rivals.one_sided_mixture(10, 100, one_sided)) == pytest.approx(-0.06502391, abs=1e-6)
    assert rivals.one_sided_mixture_bound(100, one_sided, 0.05) == pytest.approx(27.66071, abs=1e-4)


@pytest.mark.parametrize(("c", "bound"), [(3, 64.48755), (-1, 28.99389)])
def test_the_stitched_boundary_gives_the_reference_values_of_confseq(c: float, bound: float) -> None:
    assert rivals.stitched_bound(100, alpha=0.05, v_min=10, c=c) == pytest.approx(bound, abs=1e-5)


@pytest.mark.parametrize(
    ("alpha", "beta", "under_h1", "under_h0"), [(0.05, 0.05, 51, 51), (0.05, 0.10, 45, 53), (0.01, 0.01, 58, 58)]
)
def test_the_sprt_saves_what_wald_says(alpha: float, beta: float, under_h1: int, under_h0: int) -> None:
    assert round(100 * rivals.sprt_saving(alpha, beta, under_h1=True)) == under_h1
    assert round(100 * rivals.sprt_saving(alpha, beta, under_h1=False)) == under_h0


def test_repeated_tests_err_as_often_as_armitage_mcpherson_and_rowe_computed() -> None:
    draw = np.random.default_rng(1969)
    sums = np.cumsum(draw.standard_normal((100_000, 50), dtype=np.float32), axis=1)
    z = np.abs(sums) / np.sqrt(np.arange(1, 51))
    for looks, published in {1: 0.050, 2: 0.083, 5: 0.142, 10: 0.193, 20: 0.248, 50: 0.320}.items():
        assert np.mean((z[:, :looks] >= 1.96).any(axis=1)) == pytest.approx(published, abs=0.005)
    # Pocock's and O'Brien and Fleming's constants for five looks at 0.05 (Jennison and Turnbull 2000).
    assert np.mean((z[:, :5] >= 2.413).any(axis=1)) == pytest.approx(0.05, abs=0.003)
    falling = 2.040 * np.sqrt(5 / np.arange(1, 6))
    assert np.mean((z[:, :5] >= falling).any(axis=1)) == pytest.approx(0.05, abs=0.003)
