"""A rollout that somebody thinks of starting, as numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from turnout.errors import InputError
from turnout.kube.turnouts import Policy
from turnout.stats.sticky import smallest_population

__all__ = ["Scenario"]

_HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Scenario:
    """What the endpoint is like.

    Attributes:
        base: the champion's mean outcome.
        effect: the challenger's minus the champion's.
        per_hour: requests.
        label_rate: share of the requests whose label ever comes.
        delay_us: mean time from request to label; delays are exponential.
        policy: as the Turnout would have it.
        users: how many there are when users stick to their version; 0 when every request is drawn afresh.
    """

    base: float
    effect: float
    per_hour: float
    label_rate: float
    delay_us: float
    policy: Policy
    users: int = 0

    def __post_init__(self) -> None:
        wanted = {
            "base": (self.base, 0.0 < self.base < 1.0, "a mean outcome between 0 and 1"),
            "effect": (self.effect, 0.0 <= self.base + self.effect <= 1.0, "base + effect between 0 and 1"),
            "traffic": (self.per_hour, 0.0 < self.per_hour < math.inf, "more than 0 requests per hour"),
            "label rate": (self.label_rate, 0.0 < self.label_rate <= 1.0, "a share above 0 and at most 1"),
            "label delay": (self.delay_us, self.delay_us >= 0.0, "a duration of 0 or more"),
            "users": (self.users, self.users >= 0, "a number of 0 or more"),
        }
        for name, (value, fits, what) in wanted.items():
            if not fits:
                raise InputError(f"{name}: {what} was wanted, found {value:g}")
        if self.labelled < 1e-4:
            raise InputError(
                f"labelWindow: of the labels {self.labelled / self.label_rate:.2%} come within it, at a mean delay of "
                f"{self.delay_us / _HOUR_US:g} h; a longer window is wanted"
            )
        if self.users:
            self._enough_users()

    def _enough_users(self) -> None:
        """Sticky users are drawn once: too few of them can never bring the evidence for a promotion.

        Raises:
            InputError: says how many are needed.
        """
        policy = self.policy
        if not policy.margin:
            return
        steps = tuple(step / 100 for step in policy.steps)
        units = smallest_population(alpha=policy.alpha, margin=policy.margin, base=self.base, steps=steps)
        needed = math.ceil(units / self.labelled)
        if self.users < needed:
            raise InputError(
                f"users: at least {needed:,} were wanted, found {self.users:,}: each sticky user is drawn once, so "
                f"fewer cannot show that a challenger is not worse by {policy.margin:g} at alpha {policy.alpha:g}; "
                "a wider margin, another key or no stickiness would do"
            )

    @property
    def labelled(self) -> float:
        """Share of the requests whose label comes within the window."""
        if self.delay_us <= 0.0:
            return self.label_rate
        return self.label_rate * -math.expm1(-self.policy.label_window / self.delay_us)

    @property
    def per_us(self) -> float:
        """Requests per microsecond."""
        return self.per_hour / _HOUR_US
