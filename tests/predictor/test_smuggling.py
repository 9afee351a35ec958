"""Our HTTP layer beside h11: what h11 takes for one request must not be another one, or two, to us.

A proxy and a server that disagree about where a request ends let one client's bytes pass for another's request. So for
any bytes: whatever we hand to a model, h11 reads in the same place with the same body, or h11 refuses the bytes and we
have handed over no more than came before.
"""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.predictor.desks import desk
from tests.predictor.wires import Batching, Client
from turnout.predictor.model import Model
from turnout.predictor.protocol import Limits, Site
from turnout.predictor.responses import Responses

PATH = b"/v2/models/digits/infer"
HEAD = b"POST " + PATH + b" HTTP/1.1\r\nHost: digits\r\n"

LINES = st.sampled_from(
    [
        b"Content-Length: 3\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 3, 3\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: 0x3\r\n",
        b"Content-Length : 3\r\n",
        b"content-length:3\r\n",
        b" Content-Length: 3\r\n",
        b"Content-Length: 3\n",
        b"Content-Length: 3\r",
        b"Content-Length:\t3 \r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: Chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"X: y\r\n",
        b"X: a\0b\r\n",
        b"X: a\rb\r\n",
        b"Host: other\r\n",
        b"Connection: close\r\n",
        b"Expect: 100-continue\r\n",
    ]
)
BODIES = st.sampled_from(
    [
        b"",
        b"abc",
        b"abcde",
        b"3\r\nabc\r\n0\r\n\r\n",
        b"3;x=y\r\nabc\r\n0\r\n\r\n",
        b"03\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
        b"3\nabc\n0\n\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"3 \r\nabc\r\n0\r\n\r\n",
        b"-1\r\nabc\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        b"0\r\n\r\n",
        b"3\r\nabcX0\r\n\r\n",
    ]
)
SECOND = HEAD + b"Content-Length: 8\r\n\r\nsmuggled"


def ours(model: Model, data: bytes, sizes: list[int]) -> list[bytes]:
    """The bodies that our layer hands over, fed in pieces; every request is answered at once."""
    site = Site(
        desk=desk(model, Batching()),
        responses=Responses(version="digits-v4"),
        limits=Limits(body_bytes=1000, head_bytes=1000),
    )
    client = Client(site)
    start = 0
    for size in (*sizes, len(data)):
        if client.transport.state == "open":
            client.send(data[start : start + size])
        start += size
    return client.bodies


def theirs(data: bytes) -> tuple[list[bytes], bool]:
    """The bodies of the whole requests that h11 reads, and whether it refused something in the end."""
    connection = h11.Connection(h11.SERVER)
    # Empty lines before a request line are nothing (RFC 9112, section 2.2); h11 would refuse them.
    connection.receive_data(data.lstrip(b"\r\n"))
    found: list[bytes] = []
    body: list[bytes] = []
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                found.append(b"".join(body))
                body = []
                connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE:
                    return found, False
                rest = connection.trailing_data[0].lstrip(b"\r\n")
                connection = h11.Connection(h11.SERVER)
                connection.receive_data(rest)
            elif event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return found, False
    except h11.RemoteProtocolError:
        return found, True


@settings(deadline=None, max_examples=400)
@given(
    lines=st.lists(LINES, max_size=4),
    body=BODIES,
    second=st.sampled_from([b"", SECOND]),
    sizes=st.lists(st.integers(1, 60), max_size=5),
)
@example([b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"], b"0\r\n\r\n", SECOND, [])
@example([b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n"], b"0\r\n\r\n", SECOND, [])
@example([b"Content-Length: 3\r\n", b"Content-Length: 5\r\n"], b"abcde", SECOND, [])
@example([b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding: chunked\r\n"], b"3\r\nabc\r\n0\r\n\r\n", b"", [])
@example([b"Content-Length: 3\r\n"], b"0\r\n\r\n", SECOND, [])
@example([b"Transfer-Encoding: gzip, chunked\r\n"], b"3\r\nabc\r\n0\r\n\r\n", b"", [])
def test_no_request_means_one_thing_to_us_and_another_to_h11(
    iris_model: Model, lines: list[bytes], body: bytes, second: bytes, sizes: list[int]
) -> None:
    data = HEAD + b"".join(lines) + b"\r\n" + body + second

    handed = ours(iris_model, data, sizes)
    read, _ = theirs(data)

    assert handed == read[: len(handed)]


@settings(deadline=None, max_examples=150)
@given(noise=st.binary(max_size=60), at=st.integers(0, len(SECOND)))
@example(b"\n", 0)
def test_bytes_in_the_middle_of_a_request_never_make_two_of_it(iris_model: Model, noise: bytes, at: int) -> None:
    data = SECOND[:at] + noise + SECOND[at:]

    handed = ours(iris_model, data, [])
    read, _ = theirs(data)

    assert handed == read[: len(handed)]


@pytest.mark.parametrize("sizes", [[], [1] * len(SECOND * 2), [len(SECOND) - 3, 5]])
def test_good_requests_are_read_alike_however_they_are_cut(iris_model: Model, sizes: list[int]) -> None:
    assert ours(iris_model, SECOND * 2, sizes) == theirs(SECOND * 2)[0] == [b"smuggled"] * 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (HEAD + b"Host: other\r\n\r\n", b"host: wanted one, found two"),
        (b"GET /v2 HTTP/1.1\r\n\r\n", b"host: wanted one, found none"),
        (
            HEAD + b"X-Turnout-Assigned: a\r\nx-turnout-assigned: b\r\n\r\n",
            b"x-turnout-assigned: wanted one, found two",
        ),
        (b"POST /v2 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"wanted HTTP/1.1, found HTTP/1.0"),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", b"wanted chunked, found gzip, chunked"),
    ],
)
def test_headers_that_can_be_read_in_two_ways_are_refused(iris_model: Model, data: bytes, message: bytes) -> None:
    site = Site(desk=desk(iris_model, Batching()), responses=Responses(version="digits-v4"), limits=Limits())
    client = Client(site)
    client.send(data)

    assert client.statuses == [400]
    assert message in client.written
    assert client.bodies == []
    assert client.transport.state != "open"


def test_a_request_that_names_the_host_in_its_target_is_found(iris_model: Model) -> None:
    site = Site(desk=desk(iris_model, Batching()), responses=Responses(version="digits-v4"), limits=Limits())
    client = Client(site)
    client.send(b"POST http://digits" + PATH + b" HTTP/1.1\r\nHost: digits\r\nContent-Length: 1\r\n\r\n1")

    assert client.bodies == [b"1"]


def test_more_clients_than_wanted_are_sent_away(iris_model: Model) -> None:
    limits = Limits(connections=1)
    site = Site(desk=desk(iris_model, Batching()), responses=Responses(version="digits-v4"), limits=limits)
    first, second = Client(site), Client(site)

    assert (first.statuses, second.statuses) == ([], [503])
    assert second.transport.state != "open"
