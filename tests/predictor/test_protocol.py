"""HTTP/1.1 on one connection: order, limits, and who hangs up."""

from __future__ import annotations

import time

import pytest

from tests.predictor.desks import desk
from tests.predictor.processes import post
from tests.predictor.wires import Batching, Client
from turnout.predictor.inference import Outcome
from turnout.predictor.model import Model
from turnout.predictor.protocol import Limits, Site
from turnout.predictor.responses import Responses

INFER = "/v2/models/digits/infer"


@pytest.fixture
def site(iris_model: Model) -> Site:
    return Site(
        desk=desk(iris_model, Batching()),
        responses=Responses(version="digits-v4"),
        limits=Limits(body_bytes=1000, head_bytes=500, pipelined=4, request_s=1.0, idle_s=60.0, linger_s=0.5),
    )


@pytest.fixture
def client(site: Site) -> Client:
    return Client(site)


def test_a_request_in_single_bytes_is_one_request(client: Client) -> None:
    for byte in post(INFER, b'{"a": 1}', headers={"x-request-id": "r-1"}):
        client.send(bytes([byte]))

    assert client.bodies == [b'{"a": 1}']
    assert client.batching.waiting[0][0].request_id == "r-1"


def test_pipelined_replies_keep_the_order_of_their_requests(client: Client) -> None:
    client.send(post(INFER, b"1") + post("/v2", b"", method="GET") + post(INFER, b"3"))
    assert client.bodies == [b"1", b"3"]

    client.batching.answer(1, Outcome(status=400, body=b"third"))
    assert client.written == b""
    client.batching.answer(0)

    assert client.statuses == [200, 200, 400]
    assert client.written.endswith(b"third")


def test_a_connection_is_kept_for_the_next_request(client: Client) -> None:
    client.send(post(INFER, b"1"))
    client.batching.answer(0)
    client.send(post(INFER, b"2"))
    client.batching.answer(1)

    assert client.statuses == [200, 200]
    assert client.transport.state == "open"
    assert b"connection: close" not in client.written


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_connection_close_is_honoured_behind_the_reply(client: Client, version: str) -> None:
    head = f"POST {INFER} HTTP/{version}\r\nHost: d\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1"
    client.send(head.encode() + post(INFER, b"never read"))
    assert client.transport.state == "open"
    client.batching.answer(0)

    assert client.bodies == [b"1"]
    assert client.statuses == [200]
    assert b"\r\nconnection: close\r\n" in client.written
    assert client.transport.state == "closed"


@pytest.mark.parametrize("head", [b"GET /v2 HTTP/1.0\r\n\r\n", b"GET /v2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"])
def test_http_1_0_gets_one_reply(client: Client, head: bytes) -> None:
    client.send(head)

    assert client.statuses == [200]
    assert client.transport.state == "closed"


def test_a_chunked_body_is_put_together(client: Client) -> None:
    client.send(f"POST {INFER} HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    client.send(b"3\r\nabc\r\n")
    client.send(b"2\r\nde\r\n0\r\n\r\n")

    assert client.bodies == [b"abcde"]


def test_expect_continue_is_answered_before_the_body(client: Client) -> None:
    client.send(f"POST {INFER} HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n".encode())
    assert client.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"abc")
    client.batching.answer(0)

    assert client.statuses == [100, 200]


def test_expect_continue_waits_for_its_turn(client: Client) -> None:
    client.send(post(INFER, b"1"))
    client.send(f"POST {INFER} HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n".encode())
    assert client.written == b""
    client.batching.answer(0)

    assert client.statuses == [200, 100]


def test_a_large_body_that_is_announced_is_refused_at_once(client: Client) -> None:
    client.send(f"POST {INFER} HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n".encode())

    assert client.statuses == [413]
    assert b"body: wanted at most 1000 bytes" in client.written
    assert client.transport.state == "half-closed"  # so that the reply survives what is still being sent


def test_a_large_body_in_chunks_is_refused_when_it_is_too_long(client: Client) -> None:
    client.send(f"POST {INFER} HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    client.send(b"400\r\n" + b"x" * 1024 + b"\r\n")

    assert client.statuses == [413]
    assert client.bodies == []


def test_a_refused_client_that_goes_on_sending_is_cut_off(client: Client) -> None:
    client.send(f"POST {INFER} HTTP/1.1\r\nHost: d\r\nContent-Length: 1001\r\n\r\n".encode())
    client.send(b"x" * 500)
    client.connection.expire(time.monotonic())
    assert client.transport.state == "half-closed"
    client.connection.expire(time.monotonic() + 1.0)

    assert client.transport.state == "closed"
    assert client.statuses == [413]


@pytest.mark.parametrize(
    "header", [b"X: " + b"x" * 600 + b"\r\n", b"".join(b"X-%d: %s\r\n" % (n, b"y" * 50) for n in range(20))]
)
def test_long_headers_are_refused(client: Client, header: bytes) -> None:
    client.send(b"GET /v2 HTTP/1.1\r\nHost: d\r\n" + header + b"\r\n")

    assert client.statuses == [431]


def test_a_header_without_end_is_refused(client: Client) -> None:
    client.send(b"GET /v2 HTTP/1.1\r\nHost: d\r\nX: ")
    for _ in range(20):
        client.send(b"x" * 100)

    assert client.statuses == [431]


def test_a_url_without_end_is_refused(client: Client) -> None:
    client.send(b"GET /")
    for _ in range(20):
        client.send(b"x" * 100)

    assert client.statuses == [431]


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00",
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : digits\r\n\r\n",
        b"GET / HTTP/1.1\nHost: digits\n\n",
    ],
)
def test_what_is_ambiguous_or_no_http_is_a_400_and_the_end(client: Client, data: bytes) -> None:
    client.send(data + post(INFER, b"smuggled"))

    assert client.statuses == [400]
    assert b"not HTTP/1.1" in client.written
    assert client.bodies == []
    assert client.transport.state != "open"


def test_good_requests_before_a_bad_one_are_answered_first(client: Client) -> None:
    client.send(post(INFER, b"1") + b"NONSENSE\r\n\r\n")
    assert client.written == b""
    client.batching.answer(0)

    assert client.statuses == [200, 400]


def test_an_offer_to_upgrade_is_declined_by_answering(client: Client) -> None:
    client.send(post("/v2", b"", headers={"upgrade": "h2c", "connection": "Upgrade"}, method="GET"))

    assert client.statuses == [200]
    assert client.transport.state == "closed"


def test_a_body_behind_an_offer_to_upgrade_is_not_read(client: Client) -> None:
    client.send(post(INFER, b"{}", headers={"upgrade": "h2c", "connection": "Upgrade"}))

    assert client.statuses == [400]
    assert b"upgrade: this server speaks HTTP/1.1" in client.written
    assert client.transport.state == "closed"


def test_connect_is_not_offered(client: Client) -> None:
    client.send(b"CONNECT digits:80 HTTP/1.1\r\nHost: digits\r\n\r\n")

    assert client.statuses == [404]
    assert client.transport.state == "closed"


def test_a_request_that_does_not_arrive_in_time_is_a_408(client: Client) -> None:
    client.send(b"POST /v2 HTTP/1.1\r\nHost: d\r\nContent-Length: 10\r\n\r\nhalf")
    client.connection.expire(time.monotonic() + 0.5)
    assert client.statuses == []
    client.connection.expire(time.monotonic() + 2.0)

    assert client.statuses == [408]
    assert b"request: wanted all of it within 1 s" in client.written


def test_an_idle_connection_is_closed_after_its_time(client: Client) -> None:
    client.connection.expire(time.monotonic() + 30.0)
    assert client.transport.state == "open"
    client.connection.expire(time.monotonic() + 61.0)

    assert client.transport.state == "closed"
    assert client.written == b""


def test_a_request_under_way_is_never_idle(client: Client) -> None:
    client.send(post(INFER, b"1"))
    client.connection.expire(time.monotonic() + 100.0)

    assert client.transport.state == "open"


def test_a_client_that_does_not_read_is_cut_off(client: Client) -> None:
    client.connection.pause_writing()
    assert not client.transport.reading
    client.connection.expire(time.monotonic() + 2.0)

    assert client.transport.state == "closed"


def test_reading_goes_on_when_the_client_reads_again(client: Client) -> None:
    client.connection.pause_writing()
    client.connection.resume_writing()

    assert client.transport.reading


def test_no_more_is_read_than_is_answered(client: Client) -> None:
    client.send(post(INFER, b"1") * 5)
    assert not client.transport.reading
    for index in range(5):
        client.batching.answer(index)

    assert client.transport.reading
    assert client.statuses == [200] * 5


def test_a_half_closed_client_still_gets_its_reply(client: Client) -> None:
    client.send(post(INFER, b"1"))
    assert client.connection.eof_received()  # keep the transport open
    client.batching.answer(0)

    assert client.statuses == [200]
    assert client.transport.state == "closed"


def test_a_client_that_leaves_in_the_middle_gets_nothing(client: Client) -> None:
    client.send(b"POST /v2 HTTP/1.1\r\nHost: d\r\nContent-Length: 10\r\n\r\nhalf")

    assert not client.connection.eof_received()
    assert client.written == b""


def test_a_reply_for_a_lost_connection_is_dropped(client: Client) -> None:
    client.send(post(INFER, b"1"))
    client.connection.connection_lost(None)
    client.batching.answer(0)

    assert client.written == b""
    assert client.site.connections == set()


def test_while_draining_replies_ask_the_client_to_go_elsewhere(client: Client) -> None:
    client.site.desk.draining = True
    client.send(post(INFER, b"1"))
    client.batching.answer(0)

    assert b"\r\nconnection: close\r\n" in client.written
    assert client.transport.state == "closed"


def test_the_last_connection_to_go_says_so(client: Client) -> None:
    client.site.desk.draining = True
    client.connection.finish()
    client.connection.connection_lost(None)

    assert client.site.emptied.is_set()


@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [
        ({"content-encoding": "gzip"}, 415, b"content-encoding: wanted none, found gzip"),
        ({"inference-header-content-length": "x"}, 400, b"wanted a number of bytes, found 'x'"),
        ({"inference-header-content-length": "0"}, 400, b"wanted a number of bytes, found '0'"),
        (
            {"inference-header-content-length": "2", "content-type": "application/json"},
            400,
            b"wanted application/octet-stream",
        ),
        ({"content-type": "application/cloudevents-batch+json"}, 415, b"found a batch of them"),
        ({"x-turnout-caller-id": "x" * 257}, 400, b"x-turnout-caller-id: wanted at most 256 characters"),
    ],
)
def test_bodies_that_cannot_be_read_are_refused(
    client: Client, headers: dict[str, str], status: int, message: bytes
) -> None:
    client.send(post(INFER, b"{}", headers=headers))

    assert client.statuses == [status]
    assert message in client.written


def test_what_the_gateway_says_goes_into_the_request(client: Client) -> None:
    headers = {"X-Turnout-Assigned": "digits-v4;p=0.20;rev=k3x9", "X-Turnout-Caller-Id": "mine", "X-Request-Id": ""}
    client.send(post("/v1/models/digits-v4%3Apredict?trace=1", b"{}", headers=headers))

    request = client.batching.waiting[0][0]
    assert (request.dialect.name, request.model) == ("v1", "digits-v4")
    assert request.stamp == "digits-v4;p=0.20;rev=k3x9"
    assert (request.caller_id, request.request_id) == ("mine", None)
