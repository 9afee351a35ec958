"""An engine's folder: ports that stay, secrets made once, and what every engine is given at its start."""

from __future__ import annotations

import base64
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from turnout.embedded import home as homes
from turnout.embedded import seed
from turnout.embedded.home import Home, Settings
from turnout.embedded.store import Store
from turnout.embedded.supervision import ports
from turnout.errors import Conflict
from turnout.kube import discovery


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def prepared(home: Home, **asked: object) -> Settings:
    home.folder.mkdir(exist_ok=True)
    settings = homes.with_ports(home, Settings(**{"gateway_port": 0, **asked}))  # type: ignore[arg-type]
    homes.prepare(home, settings)
    return settings


def test_ports_are_chosen_when_0_is_asked_for_and_stay_at_the_next_start(home: Home) -> None:
    first = prepared(home)
    assert len({first.gateway_port, first.api_port, first.ledger_port, first.mlflow_port, 0}) == 5
    assert prepared(home) == first


def test_a_port_asked_for_is_taken_as_it_is(home: Home) -> None:
    port = ports.choose()
    assert prepared(home, gateway_port=port).gateway_port == port


def test_a_port_that_somebody_took_since_is_chosen_anew_unless_it_is_asked_for(home: Home) -> None:
    first = prepared(home)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first.api_port))
        taken.listen()
        assert prepared(home).api_port != first.api_port
        with pytest.raises(Conflict, match=f"port {first.api_port} on 127.0.0.1, wanted for the api"):
            prepared(home, api_port=first.api_port)


def test_tokens_and_certificates_are_made_once(home: Home) -> None:
    prepared(home)
    before = {path: path.read_bytes() for path in (home.token, home.ledger_token, home.tls / "server.crt")}
    prepared(home)
    assert {path: path.read_bytes() for path in before} == before
    assert home.token.read_text() != home.ledger_token.read_text()


def test_the_kubeconfig_trusts_the_authority_that_signed_the_servers_certificate(home: Home) -> None:
    settings = prepared(home)
    config = yaml.safe_load(home.kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    assert cluster["server"] == f"https://127.0.0.1:{settings.api_port}"
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(home.tls / "server.crt", home.tls / "server.key")
    _shake_hands(server, ssl.create_default_context(cadata=authority))


def test_seeding_twice_is_seeding_once(home: Home) -> None:
    settings = prepared(home, mlflow=True)
    store = Store(home.store)
    seed.seed(store, home, settings)
    version = store.resource_version
    seed.seed(store, home, settings)
    assert store.resource_version == version
    assert {obj["metadata"]["name"] for obj in store.list("HTTPRoute")} == {"turnout-ledger", "turnout-mlflow"}
    assert (home.volumes / "samples" / "iris" / "model.json").is_file()
    store.close()


def test_seeds_follow_the_settings_and_leave_what_users_changed(home: Home) -> None:
    settings = prepared(home, mlflow=True)
    store = Store(home.store)
    seed.seed(store, home, settings)

    def change(runtime: dict[str, object]) -> dict[str, object]:
        return {**runtime, "spec": {**runtime["spec"], "disabled": True}}  # type: ignore[dict-item]

    store.mutate("ClusterServingRuntime", "turnout-onnx", None, change)
    seed.seed(store, home, Settings(gateway_port=1, domain="example.com", without=("ledger",)))
    assert store.get("ConfigMap", "turnout-config", "turnout-system")["data"]["gatewayUrl"] == "http://127.0.0.1:1"
    assert store.list("HTTPRoute") == []
    assert store.get("ClusterServingRuntime", "turnout-onnx")["spec"]["disabled"] is True
    store.close()


def test_the_seeded_addresses_are_those_that_clients_look_for() -> None:
    names = (discovery.SYSTEM_NAMESPACE, discovery.CONFIG_MAP, discovery.LEDGER_SECRET)
    assert names == (seed.SYSTEM_NAMESPACE, seed.CONFIG_MAP, seed.LEDGER_SECRET)


def test_the_engine_imports_nothing_that_it_does_not_need() -> None:
    heavy = ("cryptography", "kubernetes", "mlflow", "numpy", "pandas", "pydantic", "sklearn", "sqlalchemy")
    script = f"import sys, turnout.embedded.engine; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """A TLS handshake in memory, by the name and by the address that clients use."""
    for name in ("127.0.0.1", "localhost"):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        sides = (
            client.wrap_bio(incoming, outgoing, server_hostname=name),
            server.wrap_bio(outgoing, incoming, server_side=True),
        )
        for _ in range(4):
            for side in sides:
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        assert sides[0].version()
