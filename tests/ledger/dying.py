"""A writer that is killed again and again: `python -m tests.ledger.dying DATABASE FILE CYCLES SEED`.

Each cycle forks a process that opens the ledger and writes batches, noting in the file which are acknowledged. It is
killed with SIGKILL, every other one at a random time, perhaps while it opens, the others at a random time after their
first acknowledgement. Forking spares each cycle a second of imports.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from tests.ledger.building import batch, record
from turnout.errors import Unavailable
from turnout.ledger import feedback, ingest, records
from turnout.ledger.feedback import Post
from turnout.ledger.store import Store
from turnout.ledger.words import Verb, Word

SIZE = 20
_LONGEST_S = 0.1


def names(number: int) -> list[str]:
    """The ids of a batch."""
    return [f"r{number}-{place}" for place in range(SIZE)]


def acknowledged(file: Path) -> int:
    """How many batches were."""
    return file.read_bytes().count(b"\n") if file.exists() else 0


def write(database: str, file: Path) -> None:
    """Write on where the last one was killed, until this one is; a database that is away is asked again."""
    while True:
        try:
            _write(Store(database), file)
        except Unavailable:
            time.sleep(0.01)


def _write(store: Store, file: Path) -> None:
    with file.open("ab", buffering=0) as acknowledgements:
        number = acknowledged(file)
        while True:
            ids = names(number)
            parsed = records.parse_batch(batch((record(name=name) for name in ids), watermark_us=0))
            store.write(lambda connection, parsed=parsed: ingest.take(connection, parsed, now_us=0)).result()
            post = Post(prediction_id=ids[0], verb=Verb.POST, word=Word(label=7), now_us=0)
            store.write_together(feedback.record, post).result()
            acknowledgements.write(b"%d\n" % number)
            number += 1


def main() -> None:
    database, file, cycles, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    chance = random.Random(seed)
    for cycle in range(cycles):
        before = acknowledged(file)
        child = os.fork()
        if child == 0:
            try:
                write(database, file)
            finally:
                os._exit(1)  # it should have been killed
        ended = 0
        while cycle % 2 and not ended and acknowledged(file) == before:
            time.sleep(0.001)
            ended, _ = os.waitpid(child, os.WNOHANG)
        if ended:
            sys.exit("a writer ended by itself")
        time.sleep(chance.uniform(0, _LONGEST_S))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
