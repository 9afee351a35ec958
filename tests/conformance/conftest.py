"""The server under test: a fresh engine, or the cluster that `make conformance KUBECONFIG=...` names."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import server as servers
from tests.conformance.kinds import BY_KIND, SAMPLES, Sample
from tests.conformance.server import Server

# Not KUBECONFIG: `make test` must never touch the cluster that a shell happens to point at.
KUBECONFIG = "TURNOUT_CONFORMANCE_KUBECONFIG"


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    given = os.environ.get(KUBECONFIG)
    if given:
        yield Path(given)
        return
    with servers.fresh_engine(tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture(scope="session")
def server(kubeconfig: Path) -> Iterator[Server]:
    server = servers.connect(kubeconfig)
    yield server
    server.clean()
    server.close()


@pytest.fixture
def ns(server: Server) -> str:
    return server.namespace()


def require(server: Server, sample: Sample) -> None:
    """Skip what is about a kind that the server does not have."""
    root = f"/apis/{sample.api_version}" if "/" in sample.api_version else f"/api/{sample.api_version}"
    found = server.get(root)
    served = found.json().get("resources", ()) if found.status_code == 200 else ()
    if sample.plural not in [resource["name"] for resource in served]:
        pytest.skip(f"the server has no {sample.plural} in {sample.api_version}")


# One built-in kind, one that is routed and one that runs are enough for every day.
_DAILY = ("ConfigMap", "HTTPRoute", "InferenceService")
_PARAMS = [
    pytest.param(sample, id=sample.kind, marks=[] if sample.kind in _DAILY else [pytest.mark.long])
    for sample in SAMPLES
]


@pytest.fixture(params=_PARAMS)
def sample(request: pytest.FixtureRequest, server: Server) -> Sample:
    """Each kind in turn."""
    require(server, request.param)
    return request.param


@pytest.fixture
def routes(server: Server, ns: str) -> str:
    """The path of HTTPRoutes in a namespace of its own."""
    require(server, BY_KIND["HTTPRoute"])
    return BY_KIND["HTTPRoute"].collection(ns)


@pytest.fixture
def maps(ns: str) -> str:
    """The path of ConfigMaps in a namespace of its own."""
    return f"/api/v1/namespaces/{ns}/configmaps"


@pytest.fixture
def name() -> str:
    """A name that nobody has, also for what has no namespace."""
    return f"a-{uuid.uuid4().hex[:6]}"
