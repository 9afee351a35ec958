"""One candidate, searched and exported."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output

from components._image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def train(
    candidate: str,
    plan: Input[Artifact],
    train: Input[Dataset],
    test: Input[Dataset],
    model: Output[Model],
    metrics: Output[Metrics],
):
    """Search a candidate's grid by cross-validation and export the winner, to ONNX if that answers the same.

    A candidate that fails leaves its reason instead, and the other candidates go on.

    Args:
        candidate: Name of the candidate in the spec.
        plan: The model spec, from featurize.
        train: The training part, from featurize.
        test: The test part; only the agreement of the exported and the fitted model is checked on it.

    Returns:
        model: Folder with model.onnx (if ONNX can say it), model.skops, model.json (their digests) and search.json.
        metrics: Cross-validated score and its standard deviation.
    """
    from pathlib import Path

    from turnout import spec as specs
    from turnout.steps.train import Untrained, attempt

    trained = attempt(
        specs.loads(Path(plan.path).read_text(encoding="utf-8"), deep=False),
        candidate=candidate,
        train=Path(train.path),
        test=Path(test.path),
        out=Path(model.path),
    )
    model.metadata["candidate"] = candidate
    # KFP's local cache takes an artifact without a file for one that was deleted.
    Path(metrics.path).touch()
    if isinstance(trained, Untrained):
        print(f"candidate {candidate} is left out: {trained.error}")
        model.metadata["error"] = trained.error[:500]
        return
    model.framework = trained.export.form
    model.metadata.update(digest=trained.digest, cv_score=trained.score)
    metrics.log_metric("cv_score", trained.score)
    metrics.log_metric("cv_sd", trained.search.winner.sd)
    metrics.log_metric("seconds", trained.seconds)
    metrics.log_metric("memory_mb", trained.memory_mb)
