"""`turnout simulate`: how long a rollout takes and what it risks, before one starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from turnout.cli.output import out, print_json, print_table
from turnout.errors import InputError, SpecError

if TYPE_CHECKING:
    from turnout.kube.turnouts import Policy
    from turnout.simulation.rollouts import Outcomes
    from turnout.simulation.scenarios import Scenario

__all__ = ["register"]

_EFFECTS = (0.02, 0.0, -0.01, -0.02, -0.05, -0.1)
_COLUMNS = (
    "effect",
    "promoted",
    "rolled_back",
    "held",
    "hours",
    "hours_q90",
    "labels",
    "own_labels",
    "exposed",
    "harmed",
)


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(simulate)


def simulate(
    base: Annotated[float, typer.Option(help="The champion's mean outcome, e.g. its accuracy.")],
    traffic: Annotated[float, typer.Option(help="Requests per hour.")],
    file: Annotated[
        Path | None, typer.Argument(help="model.yaml or a Turnout's manifest to take the policy from.")
    ] = None,
    effect: Annotated[
        list[float] | None, typer.Option(help="The challenger's mean minus the champion's; may be given again.")
    ] = None,
    label_rate: Annotated[float, typer.Option(help="Share of the requests that ever get a label.")] = 1.0,
    label_delay: Annotated[str, typer.Option(help="Mean time to a label, such as 10m; delays are exponential.")] = "0s",
    users: Annotated[
        int | None, typer.Option(help="How many users there are, when users stick to their version.")
    ] = None,
    margin: Annotated[float | None, typer.Option(help="policy.margin, instead of the file's.")] = None,
    alpha: Annotated[float | None, typer.Option(help="policy.alpha")] = None,
    steps: Annotated[str | None, typer.Option(help="policy.steps, as 5,20,50")] = None,
    label_window: Annotated[str | None, typer.Option(help="policy.labelWindow")] = None,
    min_labels: Annotated[int | None, typer.Option(help="policy.minLabels")] = None,
    step_time: Annotated[str | None, typer.Option(help="policy.stepTime")] = None,
    max_age: Annotated[str | None, typer.Option(help="policy.maxAge")] = None,
    runs: Annotated[int, typer.Option(min=20, max=100_000, help="Simulated rollouts per effect.")] = 200,
    seed: Annotated[int, typer.Option(help="The same seed gives the same figures.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how long a rollout takes and what it risks, before one starts."""
    from turnout.kube.turnouts import parse_duration_us
    from turnout.simulation.rollouts import simulate as run
    from turnout.simulation.scenarios import Scenario

    found, sticky = _read(file) if file else ({}, False)
    given = {
        "margin": margin,
        "alpha": alpha,
        "steps": _steps(steps),
        "labelWindow": label_window,
        "minLabels": min_labels,
        "stepTime": step_time,
        "maxAge": max_age,
    }
    policy = _policy({**found, **{name: value for name, value in given.items() if value is not None}})
    if sticky and users is None:
        raise InputError(f"{file} keeps users on their version: --users was wanted, found nothing")
    try:
        delay_us = parse_duration_us(label_delay)
    except ValueError as error:
        raise InputError(f"--label-delay: {error}") from error
    if not 0.0 < base < 1.0:
        raise InputError(f"--base: a mean outcome between 0 and 1 was wanted, found {base:g}")
    if users is not None and users < 1:
        raise InputError(f"--users: a number of 1 or more was wanted, found {users}")
    scenarios = [
        Scenario(
            base=base,
            effect=size,
            per_hour=traffic,
            label_rate=label_rate,
            delay_us=delay_us,
            policy=policy,
            users=users or 0,
        )
        for size in effect or [size for size in _EFFECTS if 0.0 <= base + size <= 1.0]
    ]
    rows = [_row(scenario, run(scenario, repetitions=runs, seed=seed)) for scenario in scenarios]
    if as_json:
        print_json({"policy": policy.model_dump(mode="json", by_alias=True), "runs": runs, "effects": rows})
        return
    print_table(rows, _COLUMNS, as_json=False)
    out.print(_reading(policy, sticky=users is not None))


def _read(path: Path) -> tuple[dict[str, Any], bool]:
    """The policy as it is written, and whether users stick to their version."""
    import yaml

    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: a readable file was wanted: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: YAML was wanted: {error}") from error
    if isinstance(data, dict) and data.get("kind") == "Turnout":
        spec = data.get("spec") or {}
        return dict(spec.get("policy") or {}), bool((spec.get("sticky") or {}).get("header"))
    if isinstance(data, dict) and "candidates" in data:
        return dict(data.get("rollout") or {}), False
    raise InputError(f"{path}: a model.yaml or a manifest of kind Turnout was wanted")


def _steps(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        raise InputError(f"--steps: percents such as 5,20,50 were wanted, found {text}") from error


def _policy(data: dict[str, Any]) -> Policy:
    from pydantic import ValidationError

    from turnout.kube.turnouts import Policy

    try:
        return Policy.model_validate(data)
    except ValidationError as error:
        problems = tuple(f"policy.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SpecError("the policy is not valid", problems=problems) from error


def _row(scenario: Scenario, outcomes: Outcomes) -> dict[str, Any]:
    """Medians, but for `harmed`: the mean number of requests that the champion would have answered better."""
    import numpy as np

    hours, late = (float(hour) for hour in np.quantile(outcomes.hours, (0.5, 0.9)))
    labels, own, exposed = (
        round(float(np.median(counts))) for counts in (outcomes.labels, outcomes.own, outcomes.exposed)
    )
    return {
        "effect": scenario.effect,
        "promoted": outcomes.share("promote"),
        "rolled_back": outcomes.share("rollback"),
        "held": outcomes.share("hold"),
        "hours": round(hours, 2),
        "hours_q90": round(late, 2),
        "labels": labels,
        "own_labels": own,
        "exposed": exposed,
        "harmed": round(abs(min(scenario.effect, 0.0)) * float(np.mean(outcomes.exposed)), 1),
    }


def _reading(policy: Policy, *, sticky: bool) -> str:
    unit = "users, each counted once per step" if sticky else "requests"
    return (
        f"Steps {', '.join(map(str, policy.steps))} %, margin {policy.margin:g}, alpha {policy.alpha:g}; units are "
        f"{unit}. hours: to the verdict and the last step, median and 90 %. labels: of both versions; own: of the "
        "challenger. exposed: requests that the challenger answered until then; harmed: of those, how many the "
        "champion would have got right (mean)."
    )
