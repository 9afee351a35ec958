"""The folder of an engine: where its files are, and the secrets and settings that are made at its first start."""

from __future__ import annotations

import base64
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import orjson
import yaml

from turnout.embedded.supervision import ports, records
from turnout.errors import Conflict

__all__ = ["Home", "Settings", "prepare", "with_ports"]

_PORTS = {"gateway": "envoy", "api": "engine", "ledger": "ledger", "mlflow": "mlflow"}  # and the process that holds it


@dataclass(frozen=True)
class Settings:
    """What an engine was started with; kept, so that the next start is like the last one."""

    gateway_port: int = 8080
    api_port: int = 0
    ledger_port: int = 0
    mlflow_port: int = 0
    domain: str = "localhost"
    mlflow: bool = False
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Home:
    """Paths under TURNOUT_HOME."""

    folder: Path

    @property
    def run(self) -> Path:
        """Pid records."""
        return self.folder / "run"

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.folder / "logs"

    @property
    def pods(self) -> Path:
        """One folder per pod: its working directory and prediction log."""
        return self.folder / "pods"

    @property
    def volumes(self) -> Path:
        """What pvc:// means here."""
        return self.folder / "volumes"

    @property
    def envoy(self) -> Path:
        """Envoy's configuration, admin socket and access log."""
        return self.folder / "envoy"

    @property
    def artifacts(self) -> Path:
        """Models and snapshots."""
        return self.folder / "artifacts"

    @property
    def tls(self) -> Path:
        """The API server's certificate, and the authority that signed it."""
        return self.folder / "tls"

    @property
    def store(self) -> Path:
        """The API's objects."""
        return self.folder / "store.db"

    @property
    def ledger_database(self) -> Path:
        """Predictions, feedback, audit."""
        return self.folder / "ledger.db"

    @property
    def mlflow_uri(self) -> str:
        """The tracking store that steps write to."""
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def kubeconfig(self) -> Path:
        """What clients are given."""
        return self.folder / "kubeconfig"

    @property
    def token(self) -> Path:
        """The API's bearer token."""
        return self.folder / "token"

    @property
    def ledger_token(self) -> Path:
        """The ledger's bearer token."""
        return self.folder / "ledger.token"

    @property
    def lock(self) -> Path:
        """Held by the engine that runs here; says which."""
        return self.folder / "engine.lock"

    @property
    def settings_file(self) -> Path:
        """The settings of the last start."""
        return self.folder / "settings.json"

    def settings(self) -> Settings | None:
        """The settings of the last start; None before the first."""
        if not self.settings_file.exists():
            return None
        data = orjson.loads(self.settings_file.read_bytes())
        return Settings(**{**data, "without": tuple(data["without"])})


def prepare(home: Home, settings: Settings) -> None:
    """Make what is missing: folders, tokens, certificates, kubeconfig."""
    home.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for folder in (home.run, home.logs, home.pods, home.volumes, home.envoy, home.artifacts, home.tls):
        folder.mkdir(exist_ok=True, mode=0o700)
    for token in (home.token, home.ledger_token):
        if not token.exists():
            records.write_aside(token, secrets.token_urlsafe(32).encode("ascii"), is_durable=True)
    if not (home.tls / "server.crt").exists():
        from turnout.embedded import certificates  # a big library, needed once in an engine's life

        certificates.write(home.tls)
    records.write_aside(home.settings_file, orjson.dumps(asdict(settings)), is_durable=True)
    kubeconfig = yaml.safe_dump(_kubeconfig(home, settings.api_port))
    records.write_aside(home.kubeconfig, kubeconfig.encode(), is_durable=True)


def with_ports(home: Home, asked: Settings) -> Settings:
    """The settings with a port wherever 0 was asked for: the one of the last start if it is to be had, else a free one.

    Raises:
        Conflict: a port that was asked for by number is taken by another process.
    """
    last = home.settings() or Settings(gateway_port=0)
    own = {record.name: record.port for record in records.load(home.run) if record.is_alive}
    chosen: dict[str, int] = {}
    for part, process in _PORTS.items():
        wanted, before = getattr(asked, f"{part}_port"), getattr(last, f"{part}_port")
        mine = own.get(process, 0)
        if wanted and wanted != mine and not ports.is_free(wanted):
            raise Conflict(f"port {wanted} on {ports.LOOPBACK}, wanted for the {part}, is taken by another process")
        usable = [port for port in (wanted, mine, before) if port and (port == mine or ports.is_free(port))]
        chosen[part] = usable[0] if usable else ports.choose(avoid=chosen.values())
    return replace(
        asked,
        gateway_port=chosen["gateway"],
        api_port=chosen["api"],
        ledger_port=chosen["ledger"],
        mlflow_port=chosen["mlflow"],
    )


def _kubeconfig(home: Home, api_port: int) -> dict[str, object]:
    authority = base64.b64encode((home.tls / "ca.crt").read_bytes()).decode("ascii")
    server = {"server": f"https://{ports.LOOPBACK}:{api_port}", "certificate-authority-data": authority}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "turnout", "cluster": server}],
        "users": [{"name": "turnout", "user": {"token": home.token.read_text(encoding="ascii")}}],
        "contexts": [{"name": "turnout", "context": {"cluster": "turnout", "user": "turnout", "namespace": "default"}}],
        "current-context": "turnout",
    }
