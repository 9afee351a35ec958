"""The best candidate, measured, compared and judged."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output, OutputPath

from components._image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def evaluate(
    spec: str,
    namespace: str,
    run: str,
    job: str,
    models: Input[list[Model]],
    test: Input[Dataset],
    profile: Input[Artifact],
    best: Output[Model],
    report: Output[HTML],
    metrics: Output[Metrics],
    confusion: Output[ClassificationMetrics],
    reason: OutputPath(str),
) -> bool:
    """Choose a candidate by cross-validation, measure it, compare it with the champion, replay requests, and decide.

    Args:
        spec: The model spec, as text.
        namespace: Where the endpoint's champion is looked up.
        run: Id of the run that the result belongs to; empty for the id of this KFP job.
        job: Id of this KFP job.
        models: All candidates, from train.
        test: The test part, from featurize.
        profile: What featurize suspects to be leaks, for the report.

    Returns:
        best: The chosen candidate, with evaluation.json beside its artifact.
        report: The evaluation as a page.
        metrics: Every metric of the task, the spec's own with its interval.
        confusion: The confusion matrix; empty for a regression.
        reason: Why the gate decided so, in one sentence with the numbers.
        Output: Whether the model passed the gate and may be registered.
    """
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from turnout import results
    from turnout import spec as specs
    from turnout.kube import client
    from turnout.lineage import connecting
    from turnout.steps import evaluate as evaluating
    from turnout.steps import evaluate_champion, evaluate_report, leaks

    model_spec = specs.loads(spec, deep=False)
    with TemporaryDirectory() as scratch:
        champion = evaluate_champion.find(
            client.connect(), model_spec.name, namespace=namespace, scratch=Path(scratch, "champion")
        )
        found = evaluating.evaluate(
            model_spec,
            models=[Path(model.path) for model in models],
            test=Path(test.path),
            champion=champion,
            leaks=leaks.read(Path(profile.path)),
            books=connecting.open_books,
            namespace=namespace,
        )
    evaluating.take(found, to=Path(best.path))
    best.metadata.update(candidate=found.best.name, cv_score=found.best.score, test_score=found.score.value)
    Path(reason).write_text(found.decision.reason, encoding="utf-8")
    Path(report.path).write_text(evaluate_report.render(found, spec=model_spec), encoding="utf-8")
    for name, value in found.logged().items():
        metrics.log_metric(name, value)
    if found.classes:
        confusion.log_confusion_matrix([str(label) for label in found.classes], [list(row) for row in found.confusion])
    results.leave(
        "evaluate",
        run=run or job,
        artifacts_url=connecting.artifacts_url(),
        outputs={"Output": found.decision.passed, "reason": found.decision.reason},
        artifacts={"best": best.metadata, "metrics": found.logged()},
        report=Path(report.path),
    )
    return found.decision.passed
