"""A snapshot into its training and its test part."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output

from components._image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def featurize(
    spec: str, snapshot: Input[Dataset], train: Output[Dataset], test: Output[Dataset], profile: Output[Artifact]
) -> list[str]:
    """Split the snapshot by the spec and describe the training part.

    Args:
        spec: The model spec, as text.
        snapshot: The instance table, from ingest.

    Returns:
        train: Parquet file with the rows that candidates learn from.
        test: Parquet file with the rows that nobody learns from.
        profile: What the training part looks like, column by column: the baseline for drift; and what may be leaks.
        Output: The names of the spec's candidates, one training task for each.
    """
    from pathlib import Path

    from turnout import spec as specs
    from turnout.steps.featurize import featurize as split

    model_spec = specs.loads(spec, deep=False)
    parts = split(
        model_spec,
        snapshot=Path(snapshot.path),
        train=Path(train.path),
        test=Path(test.path),
        profile=Path(profile.path),
    )
    for leak in parts.leaks:
        print(f"is this a leak? {leak.evidence}")
    train.metadata["rows"], test.metadata["rows"] = parts.train, parts.test
    return [candidate.name for candidate in model_spec.candidates]
