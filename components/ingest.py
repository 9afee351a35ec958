"""Sources into a snapshot."""

from kfp import dsl
from kfp.dsl import Dataset, Output, OutputPath

from components._image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def ingest(
    spec: str,
    run: str,
    job: str,
    snapshot: Output[Dataset],
    quarantine: Output[Dataset],
    plan: OutputPath(str),
    code: OutputPath(str),
    store: OutputPath(str),
) -> str:
    """Read the sources, check them, set bad rows aside, join the rest into the immutable instance table, and keep it.

    Args:
        spec: The model spec: the text of a model.yaml with absolute source paths, or addresses of the ledger.
        run: Id of the run that the result belongs to; empty for the id of this KFP job.
        job: Id of this KFP job.

    Returns:
        snapshot: Folder with table.parquet and snapshot.json (id, rows, columns, sources with their digests).
        quarantine: The rows that were set aside, each with its file, line, column and rule.
        plan: What of the spec featurize and train look at, as a spec; they are run again only when it changes.
        code: Digest of Turnout's training code and the installed packages; as plan.
        store: Root of the artifact store that keeps the snapshot.
        Output: The snapshot's id, a digest of its content.
    """
    from pathlib import Path

    from turnout import results
    from turnout import spec as specs
    from turnout.lineage import connecting
    from turnout.steps import keeping, lasting, provenance
    from turnout.steps.ingest import ingest as make_snapshot

    model_spec, url = specs.loads(spec, deep=False), connecting.artifacts_url()
    made = make_snapshot(
        model_spec,
        snapshot=Path(snapshot.path),
        quarantined=Path(quarantine.path),
        books=connecting.open_books,
        last=lambda: lasting.find(model_spec.name, artifacts_url=url),
    )
    keeping.keep(Path(snapshot.path), made, artifacts_url=url)
    for path, said in ((plan, model_spec.plan().dump()), (code, provenance.environment().digest), (store, url)):
        Path(path).write_text(said, encoding="utf-8")
    snapshot.metadata.update(id=made.id, rows=made.rows, quarantined=made.quarantined)
    results.leave(
        "ingest",
        run=run or job,
        artifacts_url=url,
        outputs={"Output": made.id},
        artifacts={"snapshot": snapshot.metadata},
    )
    return made.id
