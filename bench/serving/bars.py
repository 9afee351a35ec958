"""The bars of the predictor: each a ratio measured in one run, with the row's letter."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from bench import rows
from bench.rows import Row
from bench.serving import bodies, loads, servers
from bench.serving.bodies import Asked
from bench.serving.measuring import Point, interleave, ratios, say
from bench.serving.models import Model
from bench.serving.servers import Running, Server

__all__ = ["Plan", "closed_loop", "one_thousand_rows", "open_loop", "start"]

# In a warm-up round and between servers: long enough for a median, short enough that a run is a coffee long.
_LOAD_S = 2.0


class Plan:
    """How long, how often, and with what."""

    def __init__(self, *, work: Path, models: Mapping[str, Model], rounds: int, seconds: float) -> None:
        self.work = work
        self.models = models
        self.rounds = rounds
        self.seconds = seconds
        self.asked = work / "requests"

    def ours(self, model: str, *flags: str, name: str = "turnout") -> Server:
        """Our predictor with one of the models."""
        return servers.ours(self.models[model].folder, self.work, *flags, name=name)

    def sklearnserver(self, model: str) -> Server:
        """KServe's server as its scikit-learn image runs it."""
        return servers.peer("sklearnserver", "kserve", "kserve_sklearn", self.models[model].folder)

    def kserve_onnx(self, model: str) -> Server:
        """KServe's server with our ONNX file."""
        return servers.peer("kserve + ONNX", "kserve", "kserve_onnx", self.models[model].folder)

    def up(self, stack: contextlib.ExitStack, server: Server, asked: Asked) -> Running:
        """Start one for the rest of a block."""
        say(f"starting {server.name}")
        return stack.enter_context(servers.running(server, asked, work=self.work))


class _Closed:
    """A closed-loop measurement of one server, as a function without arguments."""

    def __init__(self, plan: Plan, running: Running, asked: Asked, connections: int) -> None:
        self._arguments = (running, asked, connections)
        self._plan = plan

    def __call__(self) -> float:
        running, asked, connections = self._arguments
        found = loads.closed(
            running.port, asked, connections=connections, seconds=self._plan.seconds, path=running.server.path
        )
        if found.failed:
            raise RuntimeError(f"{running.server.name}: {found.failed} requests failed; see {running.log}")
        return found.per_second


def closed_loop(plan: Plan) -> list[Row]:
    """Bars A to E, and the fallback's of B1 and C: the random forest, one row, label only, one process."""
    model = plan.models["rf"]
    v1, v2 = bodies.v1(model, 1, plan.asked), bodies.v2(model, 1, plan.asked)
    binary = bodies.v2_binary(model, 1, plan.asked)
    with contextlib.ExitStack() as stack:
        ours = plan.up(stack, plan.ours("rf"), v1)
        unbatched = plan.up(stack, plan.ours("rf", "--no-batching", name="turnout, no batching"), v1)
        fallback = plan.up(stack, plan.ours("rf", "--server=asgi", name="turnout, ASGI"), v1)
        hello = plan.up(stack, servers.hello(), v1)
        stock, same = plan.up(stack, plan.sklearnserver("rf"), v1), plan.up(stack, plan.kserve_onnx("rf"), v1)
        asked = [
            *((server, v1, 8) for server in (ours, stock, same, fallback, hello)),
            *((server, v1, 64) for server in (ours, unbatched, same, fallback, hello)),
            *((server, request, 8) for request in (v2, binary) for server in (ours, same)),
        ]
        names = {v1.body: "V1", v2.body: "V2", binary.body: "V2 binary"}
        measure = {
            Point(server.server.name, f"{names[request.body]}, {connections}"): _Closed(
                plan, server, request, connections
            )
            for server, request, connections in asked
        }
        found = interleave(measure, rounds=plan.rounds, title="closed loop, requests/s")

    def bar(letter: str, about: str, ours: str, theirs: str, setting: str, at_least: float) -> Row:
        values = ratios(found, Point(ours, setting), Point(theirs, setting))
        return rows.measured(letter, values, "x", at_least=at_least, about=about)

    us, kserve = "turnout", "kserve + ONNX"
    return [
        bar("A", "V1 against KServe's sklearnserver, 8 connections", us, "sklearnserver", "V1, 8", 180),
        bar("B1", "V1 against KServe with the same ONNX, 8", us, kserve, "V1, 8", 11),
        bar("B2", "V2 JSON against the same, 8", us, kserve, "V2, 8", 14),
        bar("B3", "V2 binary against the same, 8", us, kserve, "V2 binary, 8", 13),
        bar("C", "V1 against the same, 64", us, kserve, "V1, 64", 18),
        bar("D1", "V1 against a bare hello of the same HTTP layer, 8", us, "hello", "V1, 8", 0.20),
        bar("D2", "the same, 64", us, "hello", "V1, 64", 0.38),
        bar("E", "in-tick batching on against off, 64", us, "turnout, no batching", "V1, 64", 3),
        bar("B1 ASGI", "the ASGI fallback: V1 against KServe with ONNX, 8", "turnout, ASGI", kserve, "V1, 8", 5),
        bar("C ASGI", "the same, 64", "turnout, ASGI", kserve, "V1, 64", 7),
        *(
            rows.measured(f"{point.server}, {point.setting} connections", values, "requests/s")
            for point, values in found.items()
        ),
    ]


def open_loop(plan: Plan) -> list[Row]:
    """Bars F: a constant 2000 requests a second, direct; p99 in milliseconds, and beside uvicorn's."""
    v1 = bodies.v1(plan.models["rf"], 1, plan.asked)
    others: list[Row] = []
    with contextlib.ExitStack() as stack:
        up = {
            "turnout": plan.up(stack, plan.ours("rf"), v1),
            "uvicorn + ONNX": plan.up(stack, servers.uvicorn(plan.models["rf"].folder), v1),
        }
        found: dict[tuple[str, int], list[loads.Open]] = {}
        for number in range(plan.rounds):
            for rate in (500, 2000):
                for name, server in up.items():
                    seen = loads.opened(server.port, v1.http(), rate=rate, seconds=plan.seconds, work=plan.work)
                    found.setdefault((name, rate), []).append(seen)
            say(f"open loop, p99 in ms: round {number + 1} of {plan.rounds}")
    for (name, rate), seen in found.items():
        for quantile in ("p50_ms", "p99_ms", "p999_ms"):
            values = [getattr(one, quantile) for one in seen]
            others.append(rows.measured(f"{name}, open loop {rate}/s, {quantile[:-3]}", values, "ms"))
        others.append(rows.measured(f"{name}, open loop {rate}/s, failed", [float(o.failed) for o in seen], "requests"))
    p99 = {name: [one.p99_ms for one in found[name, 2000]] for name in up}
    against = [a / b for a, b in zip(p99["turnout"], p99["uvicorn + ONNX"], strict=True)]
    return [
        rows.measured("F1", p99["turnout"], "ms", at_most=1, about="p99 at 2000 requests/s, open loop, direct"),
        rows.measured("F2", against, "x", at_most=1.05, about="the same divided by uvicorn's with the same model"),
        *others,
    ]


def one_thousand_rows(plan: Plan) -> list[Row]:
    """Bars G: 1000 rows a request, logistic regression, 4 connections; ratios of rows a second."""
    model = plan.models["lr"]
    v2, binary = bodies.v2(model, 1000, plan.asked), bodies.v2_binary(model, 1000, plan.asked)
    v1 = bodies.v1(model, 1000, plan.asked)
    with contextlib.ExitStack() as stack:
        ours, same = plan.up(stack, plan.ours("lr"), v2), plan.up(stack, plan.kserve_onnx("lr"), v2)
        named = {"V1": v1, "V2": v2, "V2 binary": binary}
        measure = {
            Point(server.server.name, setting): _Closed(plan, server, request, 4)
            for setting, request in named.items()
            for server in (ours, same)
        }
        found = interleave(measure, rounds=plan.rounds, title="1000 rows, requests/s")
    theirs = Point("kserve + ONNX", "V2")
    g1, g2 = (ratios(found, Point("turnout", setting), theirs) for setting in ("V2 binary", "V2"))
    return [
        rows.measured("G1", g1, "x", at_least=25, about="1000 rows: V2 binary against KServe's V2 JSON"),
        rows.measured("G2", g2, "x", at_least=4, about="1000 rows: V2 JSON against the same"),
        *(
            rows.measured(f"{point.server}, 1000 rows, {point.setting}", [value * 1000 for value in values], "rows/s")
            for point, values in found.items()
        ),
    ]


def start(plan: Plan) -> list[Row]:
    """Bars H: from the start of the process to its first answer, and its memory after some load."""
    v1 = bodies.v1(plan.models["rf"], 1, plan.asked)
    seconds: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}
    for number in range(3):
        for server in (plan.ours("rf"), plan.kserve_onnx("rf"), plan.sklearnserver("rf")):
            with servers.running(server, v1, work=plan.work) as running:
                seconds.setdefault(server.name, []).append(running.start_s)
                loads.closed(running.port, v1, connections=8, seconds=_LOAD_S)
                memory.setdefault(server.name, []).append(running.resident_mb)
        say(f"start and memory: round {number + 1} of 3")
    faster = [a / b for a, b in zip(seconds["kserve + ONNX"], seconds["turnout"], strict=True)]
    smaller = [a / b for a, b in zip(memory["turnout"], memory["kserve + ONNX"], strict=True)]
    return [
        rows.measured(
            "H1", faster, "x", at_least=6, about="start to first answer: KServe with ONNX takes so much longer"
        ),
        rows.measured("H2", smaller, "x", at_most=0.55, about="resident memory against KServe with ONNX"),
        *(rows.measured(f"{name}, start to first answer", values, "s") for name, values in seconds.items()),
        *(rows.measured(f"{name}, resident after load", values, "MB") for name, values in memory.items()),
    ]
