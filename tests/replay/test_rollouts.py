"""Rollouts with the real controller, API, gateway, predictors and ledger, in compressed time; each ends as its policy
says. Several run at the same time in one engine under one controller."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.replay.controllers import Controllers
from tests.replay.stage import Stage, constant

pytestmark = pytest.mark.e2e
Build = Callable[..., Stage]


def test_a_good_a_bad_and_a_crashing_challenger_end_as_the_policy_says(stage: Build, controllers: Controllers) -> None:
    controllers.start("a")
    good = stage("good", right=constant(0.6, 0.95))
    bad = stage("bad", right=constant(0.95, 0.3))
    crashing = stage("crash", right=constant(0.9, 0.9), fault="crashing", rate=90.0)
    for each in (good, bad, crashing):
        each.challenge()
    assert bad.judged("rollback")["champion"] == "bad-v1"
    status = crashing.judged("rollback")
    assert status["verdict"]["errors"]["challenger"] > 0
    assert status["verdict"]["labelled"]["challenger"] == 0
    good.until(lambda s: s.get("phase") == "Stable" and s.get("champion") == "good-v2", "the end of the bake")
    assert good.actions[-2:] == ["promote", "baked"]
    assert good.weights == {"good-v2": 100}
    assert (good.users.failures, bad.users.failures) == ([], [])
