"""From tables to a challenger: ingest, featurize, train every candidate, evaluate; behind the gate register, deploy."""

from kfp import dsl, kubernetes

from components._image import IMAGE
from components.deploy import deploy
from components.evaluate import evaluate
from components.featurize import featurize
from components.ingest import ingest
from components.register import register
from components.train import train

# Where everything answers Pods, and the object store's keys: manifests/base/config.yaml, manifests/addons/kfp.
_SETTINGS = (
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "TURNOUT_ARTIFACTS_URL",
    "TURNOUT_GATEWAY_URL",
    "TURNOUT_LEDGER_URL",
    "TURNOUT_MLFLOW_URI",
)
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@dsl.pipeline(name="training", description="Train a model from tables and serve it as a challenger of its endpoint.")
def training(spec: str, namespace: str = "default", commit: str = "", run: str = "") -> None:
    """Train, judge and serve one model.

    Args:
        spec: The model spec: the text of a model.yaml whose source paths can be read from where the steps run.
        namespace: Namespace of the endpoint.
        commit: Commit of the code, kept with the version.
        run: Id of the run, kept with the version; empty for the id of the KFP job.
    """
    job = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    read = ingest(spec=spec, run=run, job=job)
    split = featurize(
        spec=read.outputs["plan"],
        snapshot=read.outputs["Output"],
        store=read.outputs["store"],
        code=read.outputs["code"],
    )
    # Artifacts and no parameter of an earlier step: kfp.local 2.17 puts the loop's item into each of those.
    given = {name: split.outputs[name] for name in ("plan", "train", "test")}
    with dsl.ParallelFor(split.outputs["Output"]) as candidate:
        trained = train(candidate=candidate, **given)
    judged = evaluate(
        spec=spec,
        namespace=namespace,
        run=run,
        job=job,
        models=dsl.Collected(trained.outputs["model"]),
        test=split.outputs["test"],
        profile=split.outputs["profile"],
    )
    # The return value: kfp.local 2.17 finds no other output in a condition, and takes what it does not find for a no.
    with dsl.If(judged.outputs["Output"] == True, name="gate"):  # noqa: E712 - KFP builds a condition from it
        version = register(
            spec=spec,
            run=run,
            job=job,
            commit=commit,
            image=IMAGE,
            best=judged.outputs["best"],
            snapshot=read.outputs["snapshot"],
            report=judged.outputs["report"],
        )
        served = deploy(
            spec=spec,
            version=version.outputs["version"],
            digest=version.outputs["digest"],
            uri=version.outputs["uri"],
            snapshot_id=read.outputs["Output"],
            run=run,
            job=job,
            commit=commit,
            namespace=namespace,
            best=judged.outputs["best"],
            test=split.outputs["test"],
        )
    for task in (read, judged, version, served):
        # KFP's cache keys see neither what is behind a source's path, nor the champion, nor the package in the image
        # (seen in 2.17: stale hits from both), and a cached registration would name a version that may be gone. For
        # featurize all of it is in the parameters, content and code by digest, and of the spec no path; and train gets
        # what featurize gave.
        task.set_caching_options(False)
    for task in (read, split, trained, judged, version, served):
        # On a cluster; the local runner leaves its own environment to the steps.
        kubernetes.use_config_map_as_env(task, "turnout-inside", {name: name for name in _SETTINGS})
        kubernetes.use_secret_as_env(task, "turnout-s3", {name: name for name in _KEYS})
    # One thread for linear algebra and boosting: folds run side by side already, and sums stay in one order.
    trained.set_env_variable("OMP_NUM_THREADS", "1").set_env_variable("OPENBLAS_NUM_THREADS", "1")
    # It reports home by default.
    version.set_env_variable("MLFLOW_DISABLE_TELEMETRY", "true")
