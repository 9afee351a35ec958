"""What others do, as formulas: fixed and repeated z tests, the SPRT, normal mixtures, group-sequential bounds.

None of this decides anything in Turnout; the comparison runs it on the same streams. The published values of these
formulas are unit tests.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from scipy.special import log_ndtr, zeta

__all__ = [
    "best_rho",
    "fixed_sample_size",
    "normal_mixture",
    "normal_mixture_bound",
    "one_sided_mixture",
    "one_sided_mixture_bound",
    "sprt_bounds",
    "sprt_saving",
    "stitched_bound",
]

_NORMAL = NormalDist()


def best_rho(v: float, alpha: float) -> float:
    """The ρ of a normal mixture that is tightest at intrinsic time v (Howard and others, Ann. Stat. 49(2), 2021)."""
    return v / (2.0 * math.log(1.0 / alpha) + math.log(1.0 + 2.0 * math.log(1.0 / alpha)))


def normal_mixture(s: float, v: float, rho: float) -> float:
    """Log of the two-sided normal mixture at sum s and variance v (Robbins 1970; Howard and others, 2021, eq. 14)."""
    return 0.5 * math.log(rho / (v + rho)) + s * s / (2.0 * (v + rho))


def normal_mixture_bound(v: float, rho: float, alpha: float) -> float:
    """The sum at which it reaches 1/α."""
    return math.sqrt((v + rho) * (2.0 * math.log(1.0 / alpha) + math.log((v + rho) / rho)))


def one_sided_mixture(s: np.ndarray | float, v: np.ndarray | float, rho: float) -> np.ndarray:
    """Log of the one-sided normal mixture: the mixing normal is cut off at zero."""
    spread = np.asarray(v) + rho
    return 0.5 * np.log(4.0 * rho / spread) + np.square(s) / (2.0 * spread) + log_ndtr(s / np.sqrt(spread))


def one_sided_mixture_bound(v: float, rho: float, alpha: float) -> float:
    """The sum at which it reaches 1/α, by bisection."""
    low, high = 0.0, 100.0 * math.sqrt(v + rho)
    for _ in range(200):
        middle = 0.5 * (low + high)
        if float(one_sided_mixture(middle, v, rho)) < math.log(1.0 / alpha):
            low = middle
        else:
            high = middle
    return high


def stitched_bound(v: float, *, alpha: float, v_min: float, c: float, s: float = 1.4, eta: float = 2.0) -> float:
    """The polynomial stitched boundary (Howard and others, 2021, eq. 10); c is the scale of a sub-gamma process."""
    time = max(v, v_min)
    ell = s * math.log(math.log(eta * time / v_min)) + math.log(float(zeta(s)) / (alpha * math.log(eta) ** s))
    first = (eta**0.25 + eta**-0.25) / math.sqrt(2.0)
    second = (math.sqrt(eta) + 1.0) / 2.0 * c * ell
    return math.sqrt(first**2 * time * ell + second**2) + second


def sprt_bounds(alpha: float, beta: float) -> tuple[float, float]:
    """(lower, upper) of the log likelihood ratio in Wald's sequential probability ratio test (1945)."""
    return math.log(beta / (1.0 - alpha)), math.log((1.0 - beta) / alpha)


def sprt_saving(alpha: float, beta: float, *, under_h1: bool) -> float:
    """Share of the fixed sample that the SPRT saves on average, for a normal mean (Wald 1947)."""
    low, high = sprt_bounds(alpha, beta)
    mean = (1.0 - beta) * high + beta * low if under_h1 else -((1.0 - alpha) * low + alpha * high)
    fixed = (_NORMAL.inv_cdf(1.0 - alpha) + _NORMAL.inv_cdf(1.0 - beta)) ** 2
    return 1.0 - 2.0 * mean / fixed


def fixed_sample_size(*, base: float, difference: float, share: float, alpha: float, power: float) -> int:
    """Labels of both versions that a one-sided z test of two proportions needs, planned for equal variances."""
    z = _NORMAL.inv_cdf(1.0 - alpha) + _NORMAL.inv_cdf(power)
    return math.ceil(base * (1.0 - base) / (share * (1.0 - share)) * (z / difference) ** 2)
