from __future__ import annotations

from importlib import resources
from typing import Any

import pytest
import yaml

from turnout.errors import SpecError
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
