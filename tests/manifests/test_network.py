"""Every connection that is configured is allowed by the NetworkPolicies of both sides; the check node enforces none."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.manifests.rendering import EVERYTHING, SYSTEM, Object, of_kind

OUTSIDE = "a machine outside of the cluster"


@dataclass(frozen=True)
class End:
    """A Pod by its namespace and labels; no namespace is the world outside."""

    namespace: str
    labels: tuple[tuple[str, str], ...] = ()


def ours(name: str) -> End:
    return End(SYSTEM, (("app.kubernetes.io/name", f"turnout-{name}"),))


PREDICTOR = End("default", (("serving.kserve.io/inferenceservice", "digits-v1"),))
GATEWAY = End("envoy-gateway-system", (("app.kubernetes.io/name", "envoy"),))
DNS = End("kube-system", (("k8s-app", "kube-dns"),))
API_SERVER = End(OUTSIDE)
PROMETHEUS = End("monitoring", (("app.kubernetes.io/name", "prometheus"),))
KFP_STEP = End("kubeflow", (("pipeline/runid", "1"),))

INSIDE = [(ours("ledger"), ours("postgres"), 5432), (ours("mlflow"), ours("postgres"), 5432)]
INSIDE += [(ours("mlflow"), ours("s3"), 8333), (PREDICTOR, ours("s3"), 8333), (KFP_STEP, ours("s3"), 8333)]
INSIDE += [(GATEWAY, ours("s3"), 8333)]
EVERYWHERE = [
    (ours("controller"), API_SERVER, 6443),
    (ours("controller"), ours("ledger"), 8080),
    (ours("controller"), ours("mlflow"), 8080),
    (ours("controller"), GATEWAY, 10080),
    (ours("ledger"), API_SERVER, 6443),
    (PREDICTOR, ours("ledger"), 8080),
    (GATEWAY, ours("ledger"), 8080),
    (KFP_STEP, ours("ledger"), 8080),
    (KFP_STEP, ours("mlflow"), 8080),
    *((ours(name), DNS, 53) for name in ("controller", "ledger", "mlflow")),
]
PRODUCTION = [
    (ours("ledger"), End(OUTSIDE), 5432),
    (ours("mlflow"), End(OUTSIDE), 5432),
    (ours("mlflow"), End(OUTSIDE), 443),
]
CONNECTIONS = [
    *(("node", *connection) for connection in (*EVERYWHERE, *INSIDE)),
    *(("kind", *connection) for connection in (*EVERYWHERE, *INSIDE)),
    *(("production", *connection) for connection in (*EVERYWHERE, *PRODUCTION)),
    *((EVERYTHING, PROMETHEUS, ours(name), 9090) for name in ("controller", "ledger")),
]


def allowed(overlay: str, source: End, target: End, port: int) -> bool:
    return _lets(overlay, "Egress", source, target, port) and _lets(overlay, "Ingress", target, source, port)


def _lets(overlay: str, direction: str, pod: End, other: End, port: int) -> bool:
    """Whether the policies that choose `pod` let it talk; a Pod that none chooses may do everything."""
    chosen = [
        policy["spec"]
        for policy in of_kind(overlay, "NetworkPolicy")
        if policy["metadata"]["namespace"] == pod.namespace
        and direction in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], dict(pod.labels))
    ]
    side, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    return not chosen or any(
        _port_is_in(rule, port) and any(_is_peer(peer, other, pod.namespace) for peer in rule.get(peers, [{}]))
        for spec in chosen
        for rule in spec.get(side, [])
    )


def _port_is_in(rule: Object, port: int) -> bool:
    return any(entry["port"] == port for entry in rule["ports"])


def _is_peer(peer: Object, end: End, home: str) -> bool:
    if not peer:
        return True
    namespaces = peer.get("namespaceSelector")
    here = (
        end.namespace == home
        if namespaces is None
        else _selects(namespaces, {"kubernetes.io/metadata.name": end.namespace})
    )
    return end.namespace != OUTSIDE and here and _selects(peer.get("podSelector", {}), dict(end.labels))


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(expression["key"]) in expression.get("values", labels.values())
        for expression in selector.get("matchExpressions", [])
    )


@pytest.mark.parametrize(("overlay", "source", "target", "port"), CONNECTIONS)
def test_a_connection_that_we_configure_is_allowed(overlay: str, source: End, target: End, port: int) -> None:
    assert allowed(overlay, source, target, port)


@pytest.mark.parametrize(
    "source", [PREDICTOR, GATEWAY, KFP_STEP, ours("mlflow"), ours("ledger"), ours("controller"), DNS, End(OUTSIDE)]
)
@pytest.mark.parametrize("target", [ours("controller"), ours("ledger")])
def test_nobody_but_monitoring_sees_metrics(source: End, target: End) -> None:
    assert not allowed(EVERYTHING, source, target, 9090)
    assert not allowed("node", PROMETHEUS, target, 9090)


@pytest.mark.parametrize("overlay", ["kind", "node"])
@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        (PREDICTOR, ours("postgres"), 5432),
        (PREDICTOR, ours("mlflow"), 8080),
        (End("shop", (("app", "web"),)), ours("ledger"), 8080),
        (ours("controller"), ours("postgres"), 5432),
        (ours("postgres"), API_SERVER, 6443),
        (ours("s3"), End(OUTSIDE), 443),
        (ours("ledger"), End(OUTSIDE), 80),
    ],
)
def test_what_nobody_needs_is_not_allowed(overlay: str, source: End, target: End, port: int) -> None:
    assert not allowed(overlay, source, target, port)
