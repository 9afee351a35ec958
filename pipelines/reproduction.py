"""The candidates of a version once more, from the snapshot that was kept: restore, featurize, train. No effects."""

from kfp import dsl

from components.featurize import featurize
from components.restore import restore
from components.train import train


@dsl.pipeline(name="reproduction", description="Train the candidates of a version again from its kept snapshot.")
def reproduction(spec: str, snapshot: str, digest: str, artifacts_url: str) -> None:
    """Train again; nothing is registered or served.

    Args:
        spec: The model spec that the version was made with, as text.
        snapshot: Id of the snapshot that it learned from.
        digest: Digest of the snapshot's content.
        artifacts_url: Root of the artifact store that keeps the snapshot.
    """
    kept = restore(snapshot_id=snapshot, digest=digest, artifacts_url=artifacts_url)
    split = featurize(spec=spec, snapshot=snapshot, store=artifacts_url, code="").after(kept)
    given = {name: split.outputs[name] for name in ("plan", "train", "test")}
    with dsl.ParallelFor(split.outputs["Output"]) as candidate:
        trained = train(candidate=candidate, **given)
    for task in (kept, split, trained):
        # A cached result would only be equal to itself.
        task.set_caching_options(False)
    # As in training: the order of sums decides the last digit.
    trained.set_env_variable("OMP_NUM_THREADS", "1").set_env_variable("OPENBLAS_NUM_THREADS", "1")
