"""Beyond the bars: other servers, other models, the gateway in front, the log off, a second worker."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from bench import rows
from bench.rows import Row
from bench.serving import bodies, loads, servers
from bench.serving.bars import Plan
from bench.serving.bodies import Asked
from bench.serving.measuring import Point, interleave, say
from bench.serving.servers import Running, Server

__all__ = ["gateway", "models", "peers", "ways"]

_ROUNDS, _SECONDS = 3, 3.0
_ENVOY_START_S = 15.0
_TYPES = "type.googleapis.com/envoy.extensions.filters"


def _loaded(plan: Plan, asked: list[tuple[Server, Asked]], title: str, *, connections: int = 8) -> list[Row]:
    """Requests a second of several servers in interleaved rounds, and the p99 of the last one."""
    with contextlib.ExitStack() as stack:
        measure = {}
        for server, request in asked:
            running = plan.up(stack, server, request)
            measure[Point(server.name, title)] = _load(running, request, connections)
        found = interleave(measure, rounds=_ROUNDS, title=title)
    return [
        rows.measured(f"{point.server}, {title}, {connections} connections", values, "requests/s")
        for point, values in found.items()
    ]


def _load(running: Running, request: Asked, connections: int) -> object:
    def once() -> float:
        return loads.closed(
            running.port, request, connections=connections, seconds=_SECONDS, path=running.server.path
        ).per_second

    return once


def peers(plan: Plan) -> list[Row]:
    """The servers that people use, each with the random forest and one row."""
    model = plan.models["rf"]
    v1, v2 = bodies.v1(model, 1, plan.asked), bodies.v2(model, 1, plan.asked)
    folder = model.folder
    others = [
        (servers.peer("MLServer", "mlserver", "mlserver_sklearn", folder), v2),
        (servers.peer("BentoML", "bentoml", "bentoml_sklearn", folder, path="/predict"), v1),
        (servers.peer("LitServe", "litserve", "litserve_sklearn", folder, path="/predict"), v1),
        (servers.peer("FastAPI", "fastapi", "fastapi_sklearn", folder, path="/predict"), v1),
    ]
    return _loaded(plan, [(plan.ours("rf"), v1), *others], "random forest")


def models(plan: Plan) -> list[Row]:
    """The other models: logistic regression, gradient boosting, and a data frame with words."""
    found = []
    for name, title in (("lr", "logistic regression"), ("hgb", "gradient boosting")):
        v1 = bodies.v1(plan.models[name], 1, plan.asked)
        found += _loaded(plan, [(s(name), v1) for s in (plan.ours, plan.sklearnserver, plan.kserve_onnx)], title)
    records = bodies.v1_records(plan.models["frame"], 1, plan.asked)
    lists = bodies.v1_records(plan.models["frame"], 1, plan.asked, as_lists=True)
    found += _loaded(plan, [(plan.ours("frame"), records), (plan.sklearnserver("frame"), lists)], "data frame")
    return found


def ways(plan: Plan) -> list[Row]:
    """Our own switches: the prediction log off, a second worker."""
    v1 = bodies.v1(plan.models["rf"], 1, plan.asked)
    silent = servers.ours(plan.models["rf"].folder, plan.work, "--log_dir=", name="turnout, log off")
    two = plan.ours("rf", "--workers=2", name="turnout, 2 workers")
    asked = [(server, v1) for server in (plan.ours("rf"), silent, two)]
    return [row for number in (8, 64) for row in _loaded(plan, asked, "one row", connections=number)]


def gateway(plan: Plan) -> list[Row]:
    """Through Envoy, one worker thread: closed loop, and 500 and 2000 requests a second."""
    v1 = bodies.v1(plan.models["rf"], 1, plan.asked)
    found: list[Row] = []
    with contextlib.ExitStack() as stack:
        for server in (plan.ours("rf"), plan.kserve_onnx("rf")):
            running = plan.up(stack, server, v1)
            envoy = stack.enter_context(_envoy(plan, running))
            seen = [loads.closed(envoy, v1, connections=8, seconds=_SECONDS) for _ in range(_ROUNDS)]
            found.append(
                rows.measured(f"{server.name} through Envoy, 8 connections", [s.per_second for s in seen], "requests/s")
            )
            for rate in (500, 2000) if server.name == "turnout" else (500,):
                opened = [
                    loads.opened(envoy, v1.http(), rate=rate, seconds=_SECONDS, work=plan.work) for _ in range(_ROUNDS)
                ]
                for quantile in ("p50_ms", "p99_ms", "p999_ms"):
                    label = f"{server.name} through Envoy, open loop {rate}/s, {quantile[:-3]}"
                    found.append(rows.measured(label, [getattr(one, quantile) for one in opened], "ms"))
            say(f"through Envoy: {server.name} done")
    return found


@contextlib.contextmanager
def _envoy(plan: Plan, running: Running) -> Iterator[int]:
    """An Envoy in front of one server; yields its port."""
    port = servers.free_port()
    route = {"match": {"prefix": "/"}, "route": {"cluster": "server"}}
    manager = {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": f"{_TYPES}.http.router.v3.Router"},
            }
        ],
    }
    endpoint = {"endpoint": {"address": _address(running.port)}}
    cluster = {
        "name": "server",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "server", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    listener = {
        "name": "bench",
        "address": _address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    file = plan.work / "envoy.yaml"
    file.write_text(yaml.safe_dump({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    program = shutil.which("envoy", path=str(Path(sys.executable).parent)) or "envoy"
    argv = (program, "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        servers.wait_for_port(port, process, timeout_s=_ENVOY_START_S)
        yield port
    finally:
        process.kill()
        process.wait()


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
