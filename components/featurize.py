"""A snapshot into its training and its test part."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Output

from components._image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def featurize(
    spec: str,
    snapshot: str,
    store: str,
    code: str,
    train: Output[Dataset],
    test: Output[Dataset],
    profile: Output[Artifact],
    plan: Output[Artifact],
) -> list[str]:
    """Split the snapshot by the spec and describe the training part.

    All that it depends on is in its parameters, so that KFP may take what it gave for them before.

    Args:
        spec: The model spec, or the plan that ingest makes of it, as text.
        snapshot: Id of the instance table.
        store: Root of the artifact store that keeps it.
        code: Digest of the code that runs here.

    Returns:
        train: Parquet file with the rows that candidates learn from.
        test: Parquet file with the rows that nobody learns from.
        profile: What the training part looks like, column by column: the baseline for drift; and what may be leaks.
        plan: The spec that was given, for train: what train gave before is taken again if these artifacts are the same.
        Output: The names of the spec's candidates, one training task for each.
    """
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from turnout import spec as specs
    from turnout.steps import keeping
    from turnout.steps.featurize import featurize as split

    model_spec = specs.loads(spec, deep=False)
    with TemporaryDirectory() as scratch:
        keeping.fetch(snapshot, artifacts_url=store, to=Path(scratch, "snapshot"))
        parts = split(
            model_spec,
            snapshot=Path(scratch, "snapshot"),
            train=Path(train.path),
            test=Path(test.path),
            profile=Path(profile.path),
        )
    Path(plan.path).write_text(spec, encoding="utf-8")
    for leak in parts.leaks:
        print(f"is this a leak? {leak.evidence}")
    train.metadata["rows"], test.metadata["rows"] = parts.train, parts.test
    return [candidate.name for candidate in model_spec.candidates]
