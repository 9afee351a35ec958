"""`turnout init`, `run`, `runs`, `compare` and `spec`: from a model.yaml to a version, and versions side by side."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from turnout import settings
from turnout.cli.output import err, out, print_json, print_table, show_progress
from turnout.errors import Failed, InputError

__all__ = ["register"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Engine(enum.StrEnum):
    """Where a pipeline's steps run."""

    local = "local"
    kfp = "kfp"


spec_app = typer.Typer(no_args_is_help=True, help="What a model.yaml may say.")


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (init, run, runs, compare, schedule):
        app.command()(command)
    app.add_typer(spec_app, name="spec")


@spec_app.command()
def schema() -> None:
    """Print the JSON schema of model.yaml."""
    from turnout import spec

    print_json(spec.json_schema())


@spec_app.command()
def check(file: Annotated[Path, typer.Argument(help="A model.yaml.")]) -> None:
    """Check a model.yaml: one line per mistake, exit code 2 when there is one."""
    from turnout import spec

    model = spec.load(file)
    out.print(f"{file}: fine; endpoint {model.name}, {len(model.candidates)} candidates", soft_wrap=True)


def init(
    data: Annotated[Path, typer.Argument(help="A CSV or Parquet file.")],
    label: Annotated[str, typer.Option(help="The column to predict.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write.")] = Path("model.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Look at a table and write a commented model.yaml that runs as it is."""
    from turnout.steps import inspect

    if output.exists() and not force:
        raise InputError(f"{output} exists already; --force overwrites it")
    output.write_text(inspect.inspect(data, label, output=output), encoding="utf-8")
    out.print(f"wrote {output}; next: turnout run {output}", soft_wrap=True)


def run(
    file: Annotated[Path, typer.Argument(help="A model.yaml.")],
    namespace: Annotated[str, typer.Option(help="Namespace of the InferenceService.")] = "default",
    data_root: Annotated[
        Path | None, typer.Option(help="Where relative source paths start; default: beside the file.")
    ] = None,
    no_gate: Annotated[bool, typer.Option("--no-gate", help="Register and deploy whatever the gate says.")] = False,
    engine: Annotated[Engine, typer.Option(help="Where the steps run: here, or on Kubeflow Pipelines.")] = Engine.local,
    json: Json = False,
) -> None:
    """Run the compiled training pipeline: ingest, featurize, train, evaluate, gate, register, deploy."""
    from turnout import runs as pipeline_runs
    from turnout.runs import failures

    progress, gate = None if json else show_progress, not no_gate
    if engine is Engine.kfp:
        from turnout.runs import on_kfp

        record = on_kfp.execute(
            file, cluster=on_kfp.connect(), namespace=namespace, gate=gate, data_root=data_root, progress=progress
        )
    else:
        record = pipeline_runs.execute(file, namespace=namespace, gate=gate, data_root=data_root, progress=progress)
    if json:
        print_json(record.as_dict())
    if record.failure is not None:
        step, sentence, log = record.failure
        if engine is Engine.kfp and log.exists():
            # Of a step on another machine; here everybody can look into the file.
            err.print(failures.traceback(log.read_text(encoding="utf-8", errors="replace")), markup=False, end="")
        if record.state == pipeline_runs.CANCELLED:
            raise Failed(f"run {record.id}: {record.outcome}; the next run takes the steps that were finished")
        raise Failed(f"run {record.id}: step {step} failed: {sentence}\n  its log: {log}")
    if not json:
        out.print(f"run {record.id}: {record.outcome}", soft_wrap=True)


def schedule(
    file: Annotated[Path, typer.Argument(help="A model.yaml whose sources are addresses, not files of this machine.")],
    cron: Annotated[str, typer.Option(help="Six fields, seconds first: '0 0 2 * * *' is every night at two.")],
    namespace: Annotated[str, typer.Option(help="Namespace of the InferenceService.")] = "default",
) -> None:
    """Run the training pipeline again and again on Kubeflow Pipelines, one run at a time."""
    from turnout.runs import on_kfp

    made = on_kfp.schedule(file, cluster=on_kfp.connect(), cron=cron, namespace=namespace, data_root=None)
    out.print(f"schedule {made}: {cron}", soft_wrap=True)


def runs(
    run_id: Annotated[str | None, typer.Argument(help="One run; without it all of them.")] = None,
    log: Annotated[str | None, typer.Option("--log", help="Print the log of this step of the run.")] = None,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="End the run; what it finished is taken by the next.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what was run: state and seconds per step, and the failing step's own error."""
    from turnout import runs as pipeline_runs

    if cancel:
        if run_id is None:
            raise InputError("--cancel wants to know which run: turnout runs RUN --cancel")
        pipeline_runs.cancel(settings.home(), run_id)
        out.print(f"run {run_id} is told to end", soft_wrap=True)
        return
    if run_id is None:
        rows = [
            {**record.as_dict(), "error": record.failure[1] if record.failure else ""}
            for record in pipeline_runs.list_runs(settings.home())
        ]
        print_table(rows, ["id", "state", "model", "seconds", "outcome", "error"], as_json=json)
        return
    record = pipeline_runs.get_run(settings.home(), run_id)
    if log is not None:
        err.print(str(record.log_of(log)), soft_wrap=True)
        typer.echo(record.log_of(log).read_text(errors="replace"), nl=False)
        return
    if json:
        print_json(record.as_dict())
        return
    print_table(
        record.as_dict()["steps"],
        ["name", "state", "seconds", "error"],
        as_json=False,
        title=f"{record.id}: {record.state}",
    )
    if record.failure is not None:
        path = record.failure[2]
        out.print(f"{record.outcome}\nlog: {path}", soft_wrap=True)


def compare(
    versions: Annotated[list[str], typer.Argument(help="Registered versions, e.g. digits-v3 digits-v4.")],
    everything: Annotated[bool, typer.Option("--all", help="Show also what is the same in all of them.")] = False,
    json: Json = False,
) -> None:
    """Show versions side by side: data, parameters and metrics."""
    from turnout.lineage import comparing, connecting

    found = comparing.compare(versions, artifacts_url=connecting.artifacts_url())
    if json:
        print_json([one.as_dict() for one in found])
        return
    rows = comparing.table(found, everything=everything)
    print_table(rows, ["what", *(one.version for one in found)], as_json=False)
