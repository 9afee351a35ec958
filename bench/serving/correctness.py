"""Bar I: what is answered inside a batch is what is answered alone, and a bad request fails alone."""

from __future__ import annotations

import contextlib
import http.client
import queue
import threading

import orjson

from bench import rows
from bench.rows import Row
from bench.serving import bodies
from bench.serving.bars import Plan

__all__ = ["answers"]

_CLIENTS = 64
_PATH = "/v1/models/model:predict"
_BAD = b'{"instances": [["not a number"]]}'
_JSON = {"Content-Type": "application/json"}


def answers(plan: Plan) -> list[Row]:
    """Every digit alone, then all of them at once among requests that are wrong."""
    model = plan.models["rf"]
    asked = [orjson.dumps({"instances": [row]}) for row in model.rows.tolist()]
    with contextlib.ExitStack() as stack:
        running = plan.up(stack, plan.ours("rf"), bodies.v1(model, 1, plan.asked))
        alone = _ask(running.port, asked, clients=1)
        # Every fourth request is wrong, so that nearly every batch holds one.
        mixed = [body for index, good in enumerate(asked) for body in ((good, _BAD) if index % 3 == 0 else (good,))]
        together = _ask(running.port, mixed, clients=_CLIENTS)
    good = [found for body, found in zip(mixed, together, strict=True) if body is not _BAD]
    bad = [found for body, found in zip(mixed, together, strict=True) if body is _BAD]
    same = sum(a == b and a[0] == 200 for a, b in zip(alone, good, strict=True))
    holds = same == len(asked) and all(status == 400 for status, _ in bad)
    return [
        rows.measured(
            "I", [float(holds)], "", at_least=1, about="batched answers equal single ones; bad ones fail alone"
        ),
        rows.measured("answers that are the same in a batch", [float(same)], f"of {len(asked)}"),
        rows.measured("bad requests answered 400", [float(sum(s == 400 for s, _ in bad))], f"of {len(bad)}"),
    ]


def _ask(port: int, asked: list[bytes], *, clients: int) -> list[tuple[int, bytes]]:
    """Status and body of every request, in the order of `asked`."""
    found: list[tuple[int, bytes]] = [(0, b"")] * len(asked)
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(len(asked)):
        waiting.put(index)

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.suppress(queue.Empty):
            while True:
                index = waiting.get_nowait()
                connection.request("POST", _PATH, asked[index], _JSON)
                reply = connection.getresponse()
                found[index] = (reply.status, reply.read())

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
