"""Envoy's configuration as data: the bootstrap, and the resources that routes, Services and pods become.

Pure: nothing here reads objects or writes files. One cluster per Service port, filled by EDS, so that a change of pods
touches no cluster and a change of weights touches nothing but the route table: both take effect without dropping
anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from turnout.embedded.gateway import filters, matching
from turnout.embedded.supervision import ports

__all__ = [
    "ACCESS_LOG_FORMAT",
    "Backend",
    "Mirror",
    "Rule",
    "bootstrap",
    "cluster",
    "cluster_name",
    "endpoints",
    "hashed",
    "route_table",
]

Object = dict[str, Any]

ACCESS_LOG_FORMAT = {
    "start_time": "%START_TIME(%s.%6f)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "stamp": "%REQ(X-TURNOUT-ASSIGNED)%",
    "id": "%RESP(X-TURNOUT-ID)%",
    "code": "%RESPONSE_CODE%",
    "duration_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    "duration_ms": "%DURATION%",  # also of a request whose client went away before its answer's end
    "host": "%REQ(:AUTHORITY)%",
    "flags": "%RESPONSE_FLAGS%",
    "cluster": "%UPSTREAM_CLUSTER%",
}

_TYPE = "type.googleapis.com/envoy."
_MANAGER = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_CONNECTIONS = "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
_PREVIOUS_HOSTS = {
    "name": "envoy.retry_host_predicates.previous_hosts",
    "typed_config": {"@type": f"{_TYPE}extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
}
# A predictor that dies takes the connections with it; the request goes to another one. Answers are never retried.
_RETRY: Object = {
    "retry_on": "connect-failure,refused-stream,reset,reset-before-request",
    "num_retries": 3,
    "retry_host_predicate": [_PREVIOUS_HOSTS],
    # A dead host has no request under way, so the balancer likes it best, and picks anew only so often.
    "host_selection_retry_max_attempts": "100",
    "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
}
_PLENTY = 1_000_000  # Envoy's own limits (three retries at a time, for one) are made for fleets of proxies
_STATS = ({"suffix": "version_text"}, {"suffix": "update_rejected"}, {"prefix": "http.gateway.downstream_rq_active"})
_MILLION, _HASHED = 1_000_000, "/hashed"
_UPSTREAM_IDLE = "3s"  # below the keep-alive of the servers behind us, so that no request meets a closing connection


@dataclass(frozen=True)
class Backend:
    """A weighted backend of a rule; without a cluster its share of the requests is answered with 500."""

    cluster: str | None
    weight: int
    filters: tuple[Object, ...] = ()

    def hashed(self) -> Backend:
        """The same backend, its endpoint chosen by the hash of a request."""
        return self if self.cluster is None else replace(self, cluster=hashed(self.cluster))


@dataclass(frozen=True)
class Mirror:
    """Who gets copies of a rule's requests, and of how many in a million."""

    cluster: str
    millionths: int = _MILLION

    @classmethod
    def of(cls, cluster: str, mirror: Object) -> Mirror:
        """As a RequestMirror filter says: a percentage, a fraction, or all."""
        if "percent" in mirror:
            return cls(cluster, mirror["percent"] * _MILLION // 100)
        if fraction := mirror.get("fraction"):
            return cls(cluster, fraction["numerator"] * _MILLION // fraction.get("denominator", 100))
        return cls(cluster)


@dataclass(frozen=True)
class Rule:
    """One match of one rule of a route, with everything that follows from it.

    With a `hash_policy` the hash chooses the backend (and, in a `hashed` cluster, its endpoint), without one chance.
    """

    name: str
    match: Object
    filters: tuple[Object, ...]
    backends: tuple[Backend, ...]
    mirrors: tuple[Mirror, ...] = ()
    timeouts: Mapping[str, str] | None = None
    hash_policy: tuple[Object, ...] = ()


def cluster_name(namespace: str, service: str, port: int) -> str:
    """The cluster of a Service's port."""
    return f"{namespace}/{service}/{port}"


def hashed(cluster: str) -> str:
    """The same endpoints as of a cluster, chosen among by the hash of a request."""
    return f"{cluster}{_HASHED}"


def bootstrap(*, port: int, folder: Path) -> Object:
    """What Envoy is started with; `folder` holds everything that changes later."""
    return {
        "node": {"id": "turnout", "cluster": "turnout"},
        # A socket in a folder of our own, relative to it: paths of sockets must be short, those of folders need not.
        "admin": {"address": {"pipe": {"path": "admin.sock", "mode": 0o600}}},
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": list(_STATS)}}},
        "dynamic_resources": {"cds_config": _watched(folder / "clusters.json")},
        "static_resources": {"listeners": [_listener(port, folder)]},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": f"{_TYPE}{_CONNECTIONS}",
                        "max_active_downstream_connections": _PLENTY,
                    },
                }
            ]
        },
    }


def cluster(name: str, endpoints_file: Path) -> Object:
    """The cluster of one Service port."""
    limits = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), _PLENTY)
    return {
        "@type": f"{_TYPE}config.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"service_name": name, "eds_config": _watched(endpoints_file)},
        "lb_policy": "MAGLEV" if name.endswith(_HASHED) else "LEAST_REQUEST",
        "connect_timeout": "1s",
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {}},
                "common_http_protocol_options": {"idle_timeout": _UPSTREAM_IDLE},
            }
        },
    }


def endpoints(name: str, listening: Sequence[int]) -> Object:
    """The ports that get the requests of a cluster."""
    hosts = [{"endpoint": {"address": _address(port)}} for port in sorted(listening)]
    return {
        "@type": f"{_TYPE}config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": hosts}],
    }


def route_table(hosts: Mapping[str, Sequence[Rule]]) -> Object:
    """The whole route table: for each host its rules, the first that matches wins."""
    return {
        "@type": f"{_TYPE}config.route.v3.RouteConfiguration",
        "name": "gateway",
        "ignore_port_in_host_matching": True,
        "most_specific_header_mutations_wins": True,  # a backend's filters come after its rule's
        "virtual_hosts": [
            {"name": host, "domains": [host], "routes": [_route(rule) for rule in rules]}
            for host, rules in sorted(hosts.items())
        ],
    }


def _route(rule: Rule) -> Object:
    route = {"name": rule.name, "match": matching.route_match(rule.match), **filters.headers(rule.filters)}
    if (redirect := filters.redirect(rule.filters, rule.match)) is not None:
        return {**route, "redirect": redirect}
    if sum(backend.weight for backend in rule.backends) == 0:
        return {**route, "direct_response": {"status": 500}}
    action: Object = {
        "weighted_clusters": {"clusters": [_weighted(backend) for backend in rule.backends]},
        **({"hash_policy": list(rule.hash_policy)} if rule.hash_policy else {}),
        "cluster_not_found_response_code": "INTERNAL_SERVER_ERROR",
        "retry_policy": _RETRY,
        **filters.rewrite(rule.filters, rule.match),
        **_timeout(rule.timeouts or {}),
    }
    if rule.hash_policy:
        action["weighted_clusters"]["use_hash_policy"] = True
    if rule.mirrors:
        action["request_mirror_policies"] = [_mirrored(mirror) for mirror in rule.mirrors]
    return {**route, "route": action}


def _weighted(backend: Backend) -> Object:
    """Without a hash Envoy draws a number for each request, so this is a random draw, never a rota."""
    return {"name": backend.cluster or "missing", "weight": backend.weight, **filters.headers(backend.filters)}


def _mirrored(mirror: Mirror) -> Object:
    fraction = {"default_value": {"numerator": mirror.millionths, "denominator": "MILLION"}}
    return {"cluster": mirror.cluster, "disable_shadow_host_suffix_append": True, "runtime_fraction": fraction}


def _timeout(timeouts: Mapping[str, str]) -> Object:
    wanted = timeouts.get("backendRequest") or timeouts.get("request")
    return {} if wanted is None else {"timeout": f"{filters.seconds(wanted):.3f}s"}


def _listener(port: int, folder: Path) -> Object:
    manager = {
        "@type": f"{_TYPE}{_MANAGER}",
        "stat_prefix": "gateway",
        "use_remote_address": True,  # we are the edge: x-request-id is ours
        "server_header_transformation": "PASS_THROUGH",
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
        "rds": {"route_config_name": "gateway", "config_source": _watched(folder / "routes.json")},
        "access_log": [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": f"{_TYPE}extensions.access_loggers.file.v3.FileAccessLog",
                    "path": str(folder / "access.log"),
                    "log_format": {"json_format": ACCESS_LOG_FORMAT},
                },
            }
        ],
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": f"{_TYPE}extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
    }
    return {
        "name": "gateway",
        "address": _address(port),
        "enable_reuse_port": False,  # else a second gateway would take half of our connections without a word
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _address(port: int) -> Object:
    return {"socket_address": {"address": ports.LOOPBACK, "port_value": port}}


def _watched(path: Path) -> Object:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}
