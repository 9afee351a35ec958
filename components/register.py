"""The chosen model becomes a version."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Model

from components._image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def register(
    spec: str,
    run: str,
    job: str,
    commit: str,
    image: str,
    best: Input[Model],
    snapshot: Input[Dataset],
    report: Input[HTML],
) -> NamedTuple("Version", [("version", str), ("digest", str), ("uri", str)]):
    """Register the model in MLflow and put its artifact into the artifact store. The same run registers once.

    Args:
        spec: The model spec, as text.
        run: Id of the run that the version belongs to; empty for the id of this KFP job.
        job: Id of this KFP job.
        commit: Commit of the code, empty when it is not known.
        image: The image that the pipeline's steps name.
        best: The chosen model, from evaluate.
        snapshot: The instance table that it learned from.
        report: The evaluation as a page.

    Returns:
        version: Name of the version, such as digits-v4.
        digest: Digest of its manifest.
        uri: Where its artifact is.
    """
    from pathlib import Path

    from turnout import results
    from turnout import spec as specs
    from turnout.kube import client, discovery
    from turnout.steps.register import Lineage
    from turnout.steps.register import register as make_version

    addresses = discovery.discover(client.connect())
    made = make_version(
        specs.loads(spec, deep=False),
        best=Path(best.path),
        report=Path(report.path),
        lineage=Lineage(run=run or job, snapshot=Path(snapshot.path), job=job, commit=commit, image=image),
        mlflow_uri=addresses.mlflow_uri,
        artifacts_url=addresses.artifacts_url,
    )
    if made.mismatch:
        print(f"not reproducible: {made.mismatch}")
    results.leave(
        "register",
        run=run or job,
        artifacts_url=addresses.artifacts_url,
        outputs={"version": made.version, "digest": made.digest, "uri": made.uri},
    )
    return (made.version, made.digest, made.uri)
