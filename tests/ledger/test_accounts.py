from __future__ import annotations

import asyncio

import httpx
import pytest

from turnout.errors import InputError, Unavailable
from turnout.ledger.api.accounts import Accounts, parse_roles
from turnout.ledger.api.app import application
from turnout.ledger.store import Store

POD = "a.pods.token"
NAME = "system:serviceaccount:shop:default"


class Cluster:
    """Vouches for one token; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_away = False

    def __call__(self, token: str) -> str | None:
        self.asked += 1
        if self.is_away:
            raise Unavailable("the API server does not answer")
        return NAME if token == POD else None


def call(
    store: Store, accounts: Accounts, method: str, path: str, *, token: str, body: object = None
) -> httpx.Response:
    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app=application(store, token="shared", accounts=accounts))
        async with httpx.AsyncClient(transport=transport, base_url="http://ledger") as client:
            return await client.request(method, path, json=body or {}, headers={"authorization": f"Bearer {token}"})

    return asyncio.run(once())


def test_a_pod_may_ship_events_and_nothing_else(store: Store) -> None:
    accounts = Accounts(Cluster())
    assert call(store, accounts, "POST", "/v1/events", token=POD).status_code == 400  # past the door: an empty body
    refused = call(store, accounts, "GET", "/v1/audit", token=POD)
    assert refused.status_code == 403
    assert "role read" in refused.json()["detail"]


def batch(namespace: str) -> dict[str, object]:
    head = {"log": "pod-1", "namespace": namespace, "endpoint": "digits", "version": "digits-v1"}
    return {**head, "watermark_us": 1, "final": False, "events": [], "dropped": [], "withdrawn": []}


def test_a_pod_ships_predictions_of_its_own_namespace_only(store: Store) -> None:
    accounts = Accounts(Cluster())
    assert call(store, accounts, "POST", "/v1/events", token=POD, body=batch("shop")).status_code == 200
    refused = call(store, accounts, "POST", "/v1/events", token=POD, body=batch("bank"))
    assert refused.status_code == 403
    assert "of namespace shop, not records of namespace bank" in refused.json()["detail"]


def test_a_pod_cannot_speak_for_the_gateway_unless_its_namespace_may(store: Store) -> None:
    lines = {"log": "proxy-1", "watermark_us": 1, "final": False, "events": []}
    refused = call(store, Accounts(Cluster()), "POST", "/v1/gateway-log", token=POD, body=lines)
    assert refused.status_code == 403
    assert "not the gateway's log" in refused.json()["detail"]
    gateway = Accounts(Cluster(), roles=parse_roles(["shop/*=events"]))
    assert call(store, gateway, "POST", "/v1/gateway-log", token=POD, body=lines).status_code == 200


def test_a_strangers_token_is_refused(store: Store) -> None:
    assert call(store, Accounts(Cluster()), "POST", "/v1/events", token="an.other.one").status_code == 401


def test_what_is_no_token_of_kubernetes_is_no_question_for_it(store: Store) -> None:
    cluster = Cluster()
    assert call(store, Accounts(cluster), "POST", "/v1/events", token="guess").status_code == 401
    assert cluster.asked == 0


def test_the_shared_token_needs_no_cluster(store: Store) -> None:
    cluster = Cluster()
    cluster.is_away = True
    assert call(store, Accounts(cluster), "GET", "/v1/audit", token="shared").status_code == 200


def test_an_account_gets_the_roles_that_it_was_given(store: Store) -> None:
    accounts = Accounts(Cluster(), roles=parse_roles(["shop/default=read"]))
    assert call(store, accounts, "GET", "/v1/audit", token=POD).status_code == 200
    assert call(store, accounts, "POST", "/v1/events", token=POD).status_code == 403


def test_while_the_cluster_is_away_new_tokens_wait_and_known_ones_work_on(store: Store) -> None:
    cluster, now = Cluster(), [0.0]
    accounts = Accounts(cluster, clock_s=lambda: now[0])
    assert call(store, accounts, "POST", "/v1/events", token=POD).status_code == 400
    cluster.is_away = True
    now[0] = 59.0
    assert call(store, accounts, "POST", "/v1/events", token=POD).status_code == 400
    now[0] = 61.0
    refused = call(store, accounts, "POST", "/v1/events", token=POD)
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"


def test_a_review_is_remembered_for_a_minute() -> None:
    cluster, now = Cluster(), [0.0]
    accounts = Accounts(cluster, clock_s=lambda: now[0])
    for _ in range(3):
        assert asyncio.run(accounts.holder(POD)) is not None
    now[0] = 61.0
    asyncio.run(accounts.holder(POD))
    assert cluster.asked == 2


@pytest.mark.parametrize("word", ["default=read", "shop/default", "shop/default=queen", "/x=read"])
def test_a_role_that_is_none_is_refused_with_what_was_wanted(word: str) -> None:
    with pytest.raises(InputError, match="namespace/account=roles"):
        parse_roles([word])
