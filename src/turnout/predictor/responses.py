"""Replies as bytes of HTTP/1.1."""

from __future__ import annotations

from http import HTTPStatus

from turnout.predictor.inference import Outcome
from turnout.predictor.routes import Page

__all__ = ["CONTINUE", "RETRY", "Responses"]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
RETRY = (b"retry-after", b"1")  # of every 503: what is not ready or too busy now may not be a second later
_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b" % (status.value, status.phrase.encode()) for status in HTTPStatus}


class Responses:
    """Builds the replies of one server."""

    def __init__(self, *, version: str) -> None:
        """`version` is named by every reply that no version in particular has made."""
        self._version = version.encode()

    def prediction(self, outcome: Outcome, *, keep_alive: bool) -> bytes:
        """An answered prediction. Its own function, because it is the hot one."""
        return (
            b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\nx-turnout-version: %b\r\nx-turnout-id: %b%b\r\n"
            b"content-length: %d%b\r\n\r\n%b"
        ) % (
            outcome.content_type,
            outcome.version,
            outcome.prediction_id.encode(),
            _lines(outcome.headers) if outcome.headers else b"",
            len(outcome.body),
            b"" if keep_alive else b"\r\nconnection: close",
            outcome.body,
        )

    def page(self, page: Page, *, keep_alive: bool, without_body: bool = False) -> bytes:
        """Any other reply; `without_body` is what HEAD wants: the headers only."""
        return b"%b\r\ncontent-type: %b\r\nx-turnout-version: %b%b\r\ncontent-length: %d%b\r\n\r\n%b" % (
            _STATUS_LINES[page.status],
            page.content_type,
            page.version or self._version,
            _lines((*page.headers, RETRY) if page.status == HTTPStatus.SERVICE_UNAVAILABLE else page.headers),
            len(page.body),
            b"" if keep_alive else b"\r\nconnection: close",
            b"" if without_body else page.body,
        )


def _lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join(b"\r\n%b: %b" % header for header in headers)
