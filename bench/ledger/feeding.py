"""Predictions of digits as predictors ship them, as fast as a ledger takes them.

`python -m bench.ledger.feeding URL SECONDS PER_S` feeds so many a second, below the priority of others: who feeds is no
part of what is measured. Nor is its start, 1.5 s of one core: it says `feeding` when it begins.
"""

from __future__ import annotations

import base64
import http.client
import itertools
import os
import sys
import threading
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

import numpy as np
import orjson
from sklearn.datasets import load_digits

from bench.ledger.servers import TOKEN

__all__ = ["BATCH", "STEP_US", "VERSIONS", "Feeder", "feed", "labels", "post"]

BATCH = 500  # what a predictor sends at once
VERSIONS = ("digits-v1", "digits-v2")
STEP_US = 50  # between two predictions: 20,000 in a second
_KINDS = 8  # different batches; their ids and times are new each time
_ID, _TIME = "@" * 32, 1_111_111_111_111_111


def _record(pixels: np.ndarray, *, version: str, answer: int, number: int) -> dict[str, object]:
    """As turnout.predictor writes it."""
    image = base64.b64encode(pixels.astype("<f4").tobytes()).decode()
    return {
        "id": _ID,
        "time_us": _TIME,
        "namespace": "default",
        "endpoint": "digits",
        "version": version,
        "pod": f"{version}-predictor-7d4b9c6f5-x2x9z",
        "protocol": "v2",
        "rows": 1,
        "inputs": [{"name": "input-0", "datatype": "FP32", "shape": [1, 64], "base64": image}],
        "outputs": [{"name": "label", "datatype": "INT64", "shape": [1], "data": [answer]}],
        "stamp": f"{version};p=0.5;rev=k3x9aa7b",
        "request_id": str(np.random.default_rng(number).bytes(16).hex()),
        "caller_id": None,
        "shadow": False,
        "duration_us": 180 + number % 90,
    }


def _templates(version: str) -> list[list[bytes]]:
    """Bodies in pieces, between which ids and times are put."""
    digits = load_digits()
    found = []
    for kind in range(_KINDS):
        numbers = range(kind * BATCH, (kind + 1) * BATCH)
        chosen = [(digits.data[number % 1797], int(digits.target[number % 1797]), number) for number in numbers]
        events = [_record(pixels, version=version, answer=answer, number=number) for pixels, answer, number in chosen]
        head = {"log": f"{version}-log", "namespace": "default", "endpoint": "digits", "version": version}
        body = orjson.dumps(head | {"watermark_us": 0, "events": events})
        found.append(body.replace(b"%d" % _TIME, _ID.encode()).split(_ID.encode()))
    return found


class Feeder:
    """Makes bodies of one version; every id is new, and times go on from `time_us`."""

    def __init__(self, version: str, *, time_us: int) -> None:
        self.time_us = time_us
        self.ids: list[str] = []  # of all that was made
        self._templates = itertools.cycle(_templates(version))

    def body(self) -> bytes:
        """The next batch."""
        pieces = next(self._templates)
        random = os.urandom(10 * BATCH).hex()
        filled = [pieces[0]]
        for at in range(BATCH):
            self.time_us += STEP_US
            self.ids.append(f"{self.time_us // 1000:012x}{random[20 * at : 20 * at + 20]}")
            filled += (self.ids[-1].encode(), pieces[2 * at + 1], b"%d" % self.time_us, pieces[2 * at + 2])
        return b"".join(filled)


def post(connection: http.client.HTTPConnection, path: str, body: bytes, *, kind: str = "application/json") -> bytes:
    """One call; its answer.

    Raises:
        OSError: nobody answers, or with something else than success.
    """
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": kind}
    connection.request("POST", path, body, headers)
    reply = connection.getresponse()
    answer = reply.read()
    if reply.status != 200:
        raise OSError(f"{reply.status}: {answer[:200]!r}")
    return answer


def feed(
    url: str, feeders: list[Feeder], *, events: int = 0, seconds: float = 0.0, per_s: float = 0.0
) -> tuple[int, float]:
    """So many events, or for so long, one connection for each feeder: acknowledged events, and how long it took.

    As fast as they are taken, or `per_s` in a second.
    """
    counts = [0] * len(feeders)

    def run(place: int) -> None:
        where = urlsplit(url)
        connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=60)
        while counts[place] < events / len(feeders) if events else time.monotonic() < deadline:
            body = feeders[place].body()
            if per_s:
                time.sleep(max(0.0, began + counts[place] * len(feeders) / per_s - time.monotonic()))
            while not _is_taken(connection, body):
                time.sleep(0.02)  # killed, or not up again: the same once more
            counts[place] += BATCH
        connection.close()

    began = time.monotonic()
    deadline = began + seconds
    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(feeders))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts), time.monotonic() - began


def _is_taken(connection: http.client.HTTPConnection, body: bytes) -> bool:
    try:
        post(connection, "/v1/events", body)
    except (OSError, http.client.HTTPException):
        connection.close()
        return False
    return True


def labels(ids: Iterable[str]) -> bytes:
    """A true label for each, as a bulk upload."""
    return b"".join(b'{"id":"%b","label":%d}\n' % (name.encode(), number % 10) for number, name in enumerate(ids))


if __name__ == "__main__":
    os.nice(10)
    now_us = time.time_ns() // 1000
    both = [Feeder(version, time_us=now_us) for version in VERSIONS]
    print("feeding", flush=True)
    feed(sys.argv[1], both, seconds=float(sys.argv[2]), per_s=float(sys.argv[3]))
