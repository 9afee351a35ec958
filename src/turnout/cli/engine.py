"""`turnout up`, `down`, `status` and `demo`: the embedded engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from turnout import settings
from turnout.cli.output import err, out, print_json, print_table

__all__ = ["register"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (up, down, status, demo):
        app.command()(command)


def up(
    gateway_port: Annotated[int, typer.Option(help="Port of the gateway on 127.0.0.1; 0 takes a free one.")] = 8080,
    api_port: Annotated[int, typer.Option(help="Port of the Kubernetes API on 127.0.0.1; 0 takes a free one.")] = 0,
    domain: Annotated[str, typer.Option(help="Domain of the endpoints' host names.")] = "localhost",
    mlflow: Annotated[bool, typer.Option("--mlflow", help="Also run MLflow's server, at mlflow.{domain}.")] = False,
    json: Json = False,
) -> None:
    """Start the embedded engine: Kubernetes API, KServe's behaviour, gateway, ledger and controller."""
    from turnout.embedded import lifecycle

    found = lifecycle.up(settings.home(), gateway_port=gateway_port, api_port=api_port, domain=domain, mlflow=mlflow)
    _show(found.as_dict(), json=json)
    if not json and not found.started:
        out.print(f"\nwas up already: {found.home} is held by the engine with {found.held_by}", soft_wrap=True)
    if not json:
        out.print(f"\nexport KUBECONFIG={settings.home() / 'kubeconfig'}", soft_wrap=True)


def down(json: Json = False) -> None:
    """Stop the engine and everything that it started."""
    from turnout.embedded import lifecycle

    stopped = lifecycle.down(settings.home())
    if json:
        print_json({"stopped": stopped})
    else:
        out.print("stopped" if stopped else f"nothing was running in {settings.home()}", soft_wrap=True)


def status(json: Json = False) -> None:
    """Show what runs, where it answers and how much memory it holds."""
    from turnout.embedded import lifecycle

    found = lifecycle.status(settings.home()).as_dict()
    _show(found, json=json)
    if not found["running"]:
        raise typer.Exit(1)


def demo(
    first: Annotated[Path | None, typer.Option(help="model.yaml of the first version.")] = None,
    second: Annotated[Path | None, typer.Option(help="model.yaml of the second version.")] = None,
    no_gate: Annotated[
        bool, typer.Option("--no-gate", help="Switch the offline gate off for the second version.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running at the end.")] = False,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="On the cluster that KUBECONFIG names, in .turnout/cluster-demo.")
    ] = False,
    kfp: Annotated[bool, typer.Option("--kfp", help="With --cluster: steps run on Kubeflow Pipelines.")] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of the traffic; fresh when not given.")] = None,
    json: Json = False,
) -> None:
    """Tell the whole story on real data: train, canary, promote, roll back. State is kept in .turnout/demo."""
    from turnout.demo import stages, story

    script = story.Script.of(first=first, second=second, gate=not no_gate, keep=keep, seed=seed)
    home = settings.home()
    place: stages.Place = stages.Cluster(home / "cluster-demo", on_kfp=kfp) if cluster else stages.Laptop(home / "demo")
    told = story.tell(script, place=place, console=err if json else out)
    if json:
        print_json(told.result)
    if not told.ended_well:
        raise typer.Exit(1)


def _show(found: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(found)
        return
    columns = ["part", "state", "pid", "port", "resident_mb", "restarts"]
    print_table(found["parts"], columns, as_json=False, title=f"engine in {found['home']}")
    out.print(f"resident together: {found['resident_mb']:.0f} MB")
    for name, url in found["urls"].items():
        out.print(f"{name:12} {url}", soft_wrap=True)
    unknown = [host for host, resolves in found["resolves"].items() if not resolves]
    if unknown:
        out.print(
            f"this machine's resolver does not know {', '.join(unknown)}: browsers and curl do; "
            "programs connect to 127.0.0.1 and send the name as Host header",
            soft_wrap=True,
        )
