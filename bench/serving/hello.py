"""A bare hello of our own HTTP layer: the floor below every prediction.

Run: `python -m bench.serving.hello --port PORT`.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any, cast

import uvloop

from turnout.predictor.answering import Desk
from turnout.predictor.inference import Outcome
from turnout.predictor.metrics import Metrics
from turnout.predictor.protocol import Connection, Limits, Site
from turnout.predictor.responses import Responses
from turnout.predictor.routes import Infer

_HELLO = Outcome(200, b'{"predictions":[0]}', prediction_id="0" * 32, version=b"hello")


class _Routes:
    """Every path is asked for a prediction."""

    def find(self, url: bytes) -> Infer:
        return _EVERYTHING


class _Batcher:
    """Answers at once, whatever was asked."""

    def submit(self, request: object, exchange: Any) -> None:
        exchange.answer(_HELLO)
        exchange.send()


_EVERYTHING = Infer(dialect=cast(Any, object()), model="model", batcher=cast(Any, _Batcher()))


async def _serve(port: int) -> None:
    metrics = Metrics(model="hello", version="hello")
    site = Site(
        desk=Desk(routes=cast(Any, _Routes()), metrics=metrics),
        responses=Responses(version="hello"),
        limits=Limits(),
    )
    server = await asyncio.get_running_loop().create_server(lambda: Connection(site), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(_serve(parser.parse_args().port))
