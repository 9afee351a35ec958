"""What answers behind an HTTP layer in the tests: real routes and dialects, and a batcher of the test's own."""

from __future__ import annotations

from typing import Any, cast

from turnout.predictor.answering import Desk
from turnout.predictor.batching import Batcher
from turnout.predictor.identity import Identity
from turnout.predictor.metrics import Metrics
from turnout.predictor.model import Model
from turnout.predictor.recording import Recording
from turnout.predictor.routes import Infer, Routes
from turnout.predictor.served import Served
from turnout.predictor.v1 import V1, V1Query
from turnout.predictor.v2 import V2

__all__ = ["IDENTITY", "batching", "desk", "served"]

IDENTITY = Identity(namespace="default", endpoint="digits", version="digits-v4", pod="digits-v4-predictor-abcde")


def served(model: Model, batcher: Any) -> Served:
    """Version digits-v4 of endpoint digits, recording nothing."""
    v1 = V1(model.manifest)
    return Served(
        identity=IDENTITY,
        manifest=model.manifest,
        v1=v1,
        v1_query=V1Query(v1, model.manifest),
        v2=V2(model.manifest, version="digits-v4"),
        batcher=cast(Batcher, batcher),
        metrics=Metrics(model="digits", version="digits-v4"),
        recording=cast(Recording, None),
    )


def desk(model: Model, batcher: Any) -> Desk:
    """A desk at which everything is answered by this batcher."""
    found = served(model, batcher)
    routes = Routes(
        is_ready=lambda: True,
        metrics_text=lambda: "",
        openapi=lambda: b"{}",
        acts={},
        named_act=lambda _: None,
    )
    routes.show([found])
    return Desk(routes=routes, metrics=found.metrics)


def batching(found: Desk) -> Any:
    """The batcher that was given to a desk."""
    return cast(Infer, found.routes.find(b"/v2/models/digits/infer")).batcher
