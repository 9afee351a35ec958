"""The order in which Envoy is told of changes, against an Envoy that only notes it."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from turnout.embedded.gateway import envoy, matching, xds
from turnout.embedded.gateway.routes import RouteReconciler
from turnout.embedded.store import Store
from turnout.embedded.supervision.processes import Supervisor

ROUTED = {
    "fig.localhost": [envoy.Rule("fig", matching.DEFAULT, filters=(), backends=(envoy.Backend("default/fig/80", 1),))]
}
STATISTICS = {"clusters.json": "cluster_manager.cds", "routes.json": "http.gateway.rds.gateway"}


class Noting:
    """Says of every file that Envoy runs it, and keeps what the files said at each question."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.seen: list[tuple[bool, list[int]]] = []

    def versions(self) -> dict[str, str]:
        """At each question: whether the host is routed, and the ports behind it."""
        files = {path.name: orjson.loads(path.read_bytes()) for path in self._folder.rglob("*.json")}
        hosts = files["routes.json"]["resources"][0]["virtual_hosts"] if "routes.json" in files else []
        ports = [
            endpoint["endpoint"]["address"]["socket_address"]["port_value"]
            for group in files["default.fig.80.json"]["resources"][0]["endpoints"]
            for endpoint in group["lb_endpoints"]
        ]
        self.seen.append((any("fig.localhost" in host["domains"] for host in hosts), ports))
        return {
            f"{STATISTICS.get(name, 'cluster.default/fig/80')}.version_text": content["version_info"]
            for name, content in files.items()
        }


@pytest.fixture
def noting(tmp_path: Path) -> tuple[xds.Publisher, Noting]:
    publisher, noting = xds.Publisher(tmp_path, log=tmp_path / "log"), Noting(tmp_path)
    publisher.admin.versions = noting.versions  # type: ignore[method-assign]
    return publisher, noting


def published(publisher: xds.Publisher, hosts: dict[str, list[envoy.Rule]], *ports: int) -> None:
    assert publisher.publish(xds.Configuration.of(hosts, listening={"default/fig/80": frozenset(ports)}))


def test_a_route_never_names_a_cluster_whose_endpoints_are_gone_already(
    noting: tuple[xds.Publisher, Noting],
) -> None:
    publisher, envoys = noting
    published(publisher, ROUTED, 7001)
    published(publisher, {}, *())
    assert (True, []) not in envoys.seen
    assert envoys.seen[-1] == (False, [])


def test_an_endpoint_that_died_goes_at_once_while_its_route_stays(noting: tuple[xds.Publisher, Noting]) -> None:
    publisher, envoys = noting
    published(publisher, ROUTED, 7001, 7002)
    already = len(envoys.seen)
    published(publisher, ROUTED, 7002)
    assert envoys.seen[already:] == [(True, [7002])]


def test_the_next_engine_knows_where_the_gateway_still_leads(
    noting: tuple[xds.Publisher, Noting], tmp_path: Path
) -> None:
    publisher, _ = noting
    published(publisher, ROUTED, 7001, 7002)
    store, supervisor = Store(":memory:", durable=False), Supervisor(run_folder=tmp_path, log_folder=tmp_path)
    routes = RouteReconciler(store, supervisor, xds.Publisher(tmp_path, log=tmp_path / "log"))
    assert [port for port in (7000, 7001, 7002) if routes.is_served(port)] == [7001, 7002]
    supervisor.close()
    store.close()
