"""A kept snapshot, again."""

from kfp import dsl
from kfp.dsl import Dataset, Output

from components._image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def restore(snapshot_id: str, digest: str, artifacts_url: str, snapshot: Output[Dataset]) -> str:
    """Take a snapshot out of the artifact store and check that nobody changed it.

    Args:
        snapshot_id: Id of the snapshot.
        digest: Digest of its content; nothing else is taken.
        artifacts_url: Root of the artifact store.

    Returns:
        snapshot: Folder with table.parquet and snapshot.json, as ingest made it.
        Output: The digest of its content.
    """
    from pathlib import Path

    from turnout.steps import keeping

    found = keeping.fetch(snapshot_id, digest=digest, artifacts_url=artifacts_url, to=Path(snapshot.path))
    snapshot.metadata.update(id=found.id, rows=found.rows)
    return found.digest
