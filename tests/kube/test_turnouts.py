from __future__ import annotations

import datetime
from importlib import resources
from typing import Any

import pytest
import yaml

from turnout.errors import SpecError
from turnout.kube.freezing import Freeze, frozen
from turnout.kube.turnouts import Policy, TurnoutSpec, build, default_host, parse_duration_us


def crd_policy() -> dict[str, Any]:
    text = (resources.files("turnout.kube") / "crd" / "turnouts.yaml").read_text()
    version = yaml.safe_load(text)["spec"]["versions"][0]
    return version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["policy"]


def test_the_types_and_the_resource_definition_name_the_same_fields_with_the_same_defaults() -> None:
    schema = crd_policy()["properties"]
    fields = {field.alias or name: field for name, field in Policy.model_fields.items()}
    assert fields.keys() == schema.keys()
    for name, field in fields.items():
        if name == "guardrails":
            guards = {f.alias: f.default for f in field.annotation.model_fields.values()}
            assert guards == {key: value["default"] for key, value in schema[name]["properties"].items()}
            continue
        wanted = schema[name]["default"]
        if "pattern" in schema[name]:
            wanted = parse_duration_us(wanted)
        assert field.default == (tuple(wanted) if isinstance(wanted, list) else wanted), name


@pytest.mark.parametrize(
    ("text", "us"), [("1s", 1_000_000), ("500ms", 500_000), ("1h30m", 5_400_000_000), ("30d", 2_592_000_000_000)]
)
def test_durations_are_read(text: str, us: int) -> None:
    assert parse_duration_us(text) == us


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ({"bake": "soon"}, r"spec.policy.bake: .*a duration such as 90s, 1h30m or 500ms was wanted, found 'soon'"),
        ({"steps": [20, 5]}, r"spec.policy.steps: .*steps must rise strictly, found \[20, 5\]"),
        ({"steps": [0]}, "spec.policy.steps.0: .*greater than or equal to 1"),
        ({"alpha": 2}, "spec.policy.alpha"),
        ({"stepz": [5]}, "spec.policy.stepz: Extra inputs are not permitted"),
        ({"guardrails": {"errorRate": -1}}, "spec.policy.guardrails.errorRate"),
        ({"freeze": [{"from": "25:00", "to": "08:00"}]}, r"freeze.0: .*wanted HH:MM twice, or RFC 3339 twice"),
        ({"freeze": [{"from": "2026-12-27T00:00:00Z", "to": "2026-12-24T00:00:00Z"}]}, "must end after it begins"),
        ({"freeze": [{"from": "2026-12-24T00:00:00", "to": "2026-12-27T00:00:00"}]}, "wanted a time zone"),
        ({"freeze": [{"from": "18:00", "to": "08:00", "timeZone": "Mars/Olympus"}]}, "Europe/Berlin was wanted"),
    ],
)
def test_a_wrong_policy_names_the_field(policy: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        TurnoutSpec.read({"policy": policy})


def test_a_built_turnout_is_read_back() -> None:
    obj = build("digits", namespace="default", challengers=["digits-v1"], policy={"stepTime": "2s"})
    spec = TurnoutSpec.read(obj["spec"])
    assert spec.challengers == ("digits-v1",)
    assert spec.policy.step_time == 2_000_000


def test_hosts_outside_the_default_namespace_carry_the_namespace() -> None:
    assert default_host("digits", "default", "localhost") == "digits.localhost"
    assert default_host("digits", "team", "localhost") == "digits.team.localhost"


def test_a_version_cannot_be_challenger_and_shadow() -> None:
    with pytest.raises(SpecError, match="a challenger or a shadow, not both: digits-v2"):
        TurnoutSpec.read({"challengers": ["digits-v1", "digits-v2"], "shadows": ["digits-v2"]})


def test_a_sticky_rollout_compares_two_versions_at_a_time() -> None:
    with pytest.raises(SpecError, match="onSecond must be queue or replace"):
        TurnoutSpec.read({"sticky": {"header": "x-user"}, "policy": {"onSecond": "together"}})


def test_a_header_name_that_no_request_can_carry_is_refused() -> None:
    with pytest.raises(SpecError, match="sticky"):
        TurnoutSpec.read({"sticky": {"header": "x user"}})


def at(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).timestamp() * 1e6)


@pytest.mark.parametrize(
    ("moment", "is_frozen"),
    [
        ("2026-11-20T17:59:00+01:00", False),  # Friday
        ("2026-11-20T18:00:00+01:00", True),
        ("2026-11-21T07:59:00+01:00", True),
        ("2026-11-21T08:00:00+01:00", False),
        ("2026-11-21T19:00:00+01:00", False),  # Saturday evening begins no window
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(moment: str, is_frozen: bool) -> None:
    night = Freeze(**{"from": "18:00", "to": "08:00", "days": ["Fri"], "timeZone": "Europe/Berlin"})
    assert night.holds(at(moment)) is is_frozen


def test_a_freeze_says_its_times_and_its_reason() -> None:
    window = Freeze(**{"from": "2026-12-24T00:00:00Z", "to": "2026-12-27T00:00:00Z", "reason": "holidays"})
    assert frozen((window,), at("2026-12-27T00:00:00Z")) == ""
    assert frozen((window,), at("2026-12-25T00:00:00Z")).endswith("(holidays)")
