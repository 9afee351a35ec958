"""Sources into a snapshot."""

from kfp import dsl
from kfp.dsl import Dataset, Output

from components._image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def ingest(spec: str, snapshot: Output[Dataset], quarantine: Output[Dataset]) -> str:
    """Read the sources, check them, set bad rows aside, join the rest into the immutable instance table.

    Args:
        spec: The model spec: the text of a model.yaml with absolute source paths, or addresses of the ledger.

    Returns:
        snapshot: Folder with table.parquet and snapshot.json (id, rows, columns, sources with their digests).
        quarantine: The rows that were set aside, each with its file, line, column and rule.
        Output: The snapshot's id, a digest of its content.
    """
    from pathlib import Path

    from turnout import spec as specs
    from turnout.lineage.connecting import open_books
    from turnout.steps.ingest import ingest as make_snapshot

    made = make_snapshot(
        specs.loads(spec, deep=False),
        snapshot=Path(snapshot.path),
        quarantined=Path(quarantine.path),
        books=open_books,
    )
    snapshot.metadata.update(id=made.id, rows=made.rows, quarantined=made.quarantined)
    return made.id
