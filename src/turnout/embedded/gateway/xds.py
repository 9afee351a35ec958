"""Hands configuration to Envoy through files, and learns whether Envoy took it.

Each file is written aside and renamed; Envoy watches for that. The order keeps traffic whole: endpoints before the
clusters that name them, clusters before the routes that name them, and the other way round when something goes.
Envoy's admin socket tells which version it runs, so that nothing is taken for done before it is.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from turnout.embedded.gateway import envoy
from turnout.embedded.serving import workloads
from turnout.embedded.supervision import logfiles, records
from turnout.errors import InputError

__all__ = ["Admin", "Configuration", "Publisher", "Rejected"]

Object = dict[str, Any]

_ACK_LIMIT_S, _ACK_POLL_S = 3.0, 0.002
_REJECTED = re.compile(r"update rejected: (.*)")


class Rejected(InputError):
    """Envoy refused a configuration and keeps the last good one; the message is Envoy's."""


@dataclass(frozen=True)
class Configuration:
    """Everything that Envoy is told: routes by host, ports by cluster."""

    hosts: Mapping[str, Sequence[envoy.Rule]] = field(default_factory=dict)
    clusters: Mapping[str, frozenset[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, hosts: Mapping[str, Sequence[envoy.Rule]], *, listening: Mapping[str, frozenset[int]]) -> Configuration:
        """The clusters of all Services, and those that rules with a hash need beside them."""
        named = cls(hosts=hosts).named
        hashed = {envoy.hashed(name): found for name, found in listening.items() if envoy.hashed(name) in named}
        return cls(hosts=hosts, clusters={**listening, **hashed})

    @property
    def named(self) -> frozenset[str]:
        """The clusters that requests may go to."""
        rules = [rule for found in self.hosts.values() for rule in found]
        answering = {backend.cluster for rule in rules for backend in rule.backends if backend.cluster}
        return frozenset(answering | {mirror.cluster for rule in rules for mirror in rule.mirrors})

    @property
    def listening(self) -> frozenset[int]:
        """Every port that may get a request."""
        return frozenset(port for found in self.clusters.values() for port in found)


class Admin:
    """Envoy's admin socket, in Envoy's own folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, path: str, *, method: str = "GET") -> str | None:
        """What the admin answers; None when no Envoy is there (yet)."""
        try:
            descriptor = os.open(self._folder, os.O_PATH)
            try:
                # By descriptor: a socket's own path may have 107 characters at most, ours may be anywhere.
                return _ask(f"/proc/self/fd/{descriptor}/admin.sock", method, path)
            finally:
                os.close(descriptor)
        except (OSError, http.client.HTTPException):
            return None

    def versions(self) -> dict[str, str] | None:
        """Version of each resource that Envoy runs, by the name of its statistic, and counts of refusals."""
        answer = self.get("/stats?filter=(version_text|update_rejected)$")
        if answer is None:
            return None
        pairs = (line.rpartition(": ") for line in answer.splitlines())
        return {name: value.strip('"') for name, _, value in pairs}

    def active_requests(self) -> int:
        """How many requests are under way; none when no Envoy is there."""
        answer = self.get("/stats?filter=downstream_rq_active") or ""
        return sum(int(line.rpartition(": ")[2]) for line in answer.splitlines())


class Publisher:
    """Writes a Configuration in the right order. One thread at a time."""

    def __init__(self, folder: Path, *, log: Path) -> None:
        self.admin = Admin(folder)
        self._folder, self._log = folder, log
        self._written: dict[str, str] = {}  # version by file name
        self._acknowledged: dict[str, str] = {}
        # An adopted Envoy may have refused things long ago.
        self._refusals = {name: count for name, count in (self.admin.versions() or {}).items() if _counts(name)}
        self._in_use = self._found_in_use()  # the clusters that Envoy has stay until no route names them
        (folder / "endpoints").mkdir(parents=True, exist_ok=True)

    def listening(self) -> frozenset[int]:
        """Every port that the files lead to, whoever wrote them."""
        return frozenset(
            endpoint["endpoint"]["address"]["socket_address"]["port_value"]
            for name in self._in_use
            for resource in _resources(self._folder / _endpoints_file(name))
            for group in resource["endpoints"]
            for endpoint in group["lb_endpoints"]
        )

    def forget(self) -> None:
        """Another Envoy runs: nothing is known of what it has taken or refused."""
        self._acknowledged.clear()
        self._refusals.clear()

    def publish(self, wanted: Configuration) -> bool:
        """Bring Envoy to this configuration; whether it runs it now (False: no Envoy answered; try again).

        Raises:
            Rejected: Envoy keeps the last good one.
        """
        names, named, known = sorted(wanted.clusters), wanted.named, set(self._in_use)
        # A cluster that no route will name keeps its endpoints until Envoy has the routes: requests may be under way.
        leaving = [name for name in names if name in known and name not in named]
        staying = [name for name in names if name not in known or name in named]
        self._put_endpoints(staying, wanted)
        kept = sorted({*names, *known})
        self._put_clusters(kept)
        runs = self._confirm("clusters.json", "cluster_manager.cds")
        runs &= self._confirm_endpoints(staying)
        self._put("routes.json", [envoy.route_table(wanted.hosts)])
        runs &= self._confirm("routes.json", "http.gateway.rds.gateway")
        self._put_endpoints(leaving, wanted)
        runs &= self._confirm_endpoints(leaving)
        if kept != names:
            self._put_clusters(names)
            runs &= self._confirm("clusters.json", "cluster_manager.cds")
            self._remove_endpoints(set(kept) - set(names))
        return runs

    def _put_endpoints(self, names: Sequence[str], wanted: Configuration) -> None:
        for name in names:
            self._put(_endpoints_file(name), [envoy.endpoints(name, sorted(wanted.clusters[name]))])

    def _confirm_endpoints(self, names: Sequence[str]) -> bool:
        return all(self._confirm(_endpoints_file(name), f"cluster.{name}") for name in names)

    def _put_clusters(self, names: Sequence[str]) -> None:
        self._put("clusters.json", [envoy.cluster(name, self._folder / _endpoints_file(name)) for name in names])
        self._in_use = names

    def _found_in_use(self) -> Sequence[str]:
        """The clusters that an earlier engine's Envoy has."""
        found = [resource["name"] for resource in _resources(self._folder / "clusters.json")]
        return [name for name in found if (self._folder / _endpoints_file(name)).exists()]

    def _remove_endpoints(self, names: set[str]) -> None:
        for name in names:
            file = _endpoints_file(name)
            (self._folder / file).unlink(missing_ok=True)
            self._written.pop(file, None)
            self._acknowledged.pop(file, None)

    def _put(self, file: str, resources: Sequence[Object]) -> None:
        version = workloads.short_hash(list(resources))
        if self._written.get(file) != version:
            content = orjson.dumps({"version_info": version, "resources": resources})
            records.write_aside(self._folder / file, content)
            self._written[file] = version

    def _confirm(self, file: str, statistic: str) -> bool:
        """Wait until Envoy runs the written version of a file."""
        version, counter = self._written[file], f"{statistic}.update_rejected"
        if self._acknowledged.get(file) == version:
            return True
        deadline = time.monotonic() + _ACK_LIMIT_S
        while time.monotonic() < deadline and (found := self.admin.versions()) is not None:
            if found.get(f"{statistic}.version_text") == version:
                self._acknowledged[file] = version
                return True
            if found.get(counter, "0") != self._refusals.get(counter, "0"):
                self._refusals[counter] = found[counter]
                self._written.pop(file)  # the same again is refused again, not waited for
                raise Rejected(self._last_refusal())
            time.sleep(_ACK_POLL_S)
        return False

    def _last_refusal(self) -> str:
        """Envoy's own words, from its log."""
        text = logfiles.read(self._log, tail_lines=50).decode("utf-8", errors="replace")
        found = _REJECTED.findall(text)
        return found[-1] if found else "Envoy refused the configuration"


def _resources(path: Path) -> list[Object]:
    """What a file tells; nothing where it is not there, or not whole after a power failure."""
    try:
        return list(orjson.loads(path.read_bytes())["resources"])
    except (FileNotFoundError, orjson.JSONDecodeError):
        return []


def _counts(statistic: str) -> bool:
    return statistic.endswith("update_rejected")


def _endpoints_file(cluster: str) -> str:
    return f"endpoints/{cluster.replace('/', '.')}.json"


def _ask(address: str, method: str, path: str) -> str:
    connection = http.client.HTTPConnection("envoy", timeout=2)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(2)
    try:
        connection.sock.connect(address)
        connection.request(method, path)
        return connection.getresponse().read().decode("utf-8", errors="replace")
    finally:
        connection.close()
