"""A version becomes an InferenceService and a challenger."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model

from components._image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def deploy(
    spec: str,
    version: str,
    digest: str,
    uri: str,
    snapshot_id: str,
    run: str,
    job: str,
    commit: str,
    namespace: str,
    best: Input[Model],
    test: Input[Dataset],
):
    """Serve the version, check its answer to one request, and name it as challenger in the endpoint's Turnout.

    Args:
        spec: The model spec, as text.
        version: Name of the version, from register.
        digest: Digest of its manifest; the predictor serves nothing else.
        uri: Where its artifact is.
        snapshot_id: Id of the snapshot that it learned from.
        run: Id of the run that the version belongs to; empty for the id of this KFP job.
        job: Id of this KFP job.
        commit: Commit of the code, empty when it is not known.
        namespace: Namespace of the InferenceService and the Turnout.
        best: The model, for the answer that is expected.
        test: The test part, for a row to ask about.
    """
    from pathlib import Path

    from turnout import spec as specs
    from turnout.kube import client, discovery
    from turnout.kube.inferenceservices import Version
    from turnout.steps import artifact
    from turnout.steps import deploy as deploying

    model_spec, kube = specs.loads(spec, deep=False), client.connect()
    addresses = discovery.discover(kube)
    deploying.deploy(
        model_spec,
        version=Version(
            version,
            model_spec.name,
            uri,
            digest,
            run=run or job,
            snapshot=snapshot_id,
            commit=commit,
            form=artifact.read(Path(best.path)).form,
        ),
        smoke=deploying.smoke_question(Path(best.path), test=Path(test.path), spec=model_spec),
        namespace=namespace,
        kube=kube,
        gateway=deploying.Gateway(addresses.gateway_url, addresses.domain),
    )
