"""Replies as bytes."""

from __future__ import annotations

from http import HTTPStatus

__all__ = ["CONTINUE", "JSON", "Responses"]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
JSON = b"application/json"

_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b" % (status.value, status.phrase.encode()) for status in HTTPStatus}


class Responses:
    """Builds the replies of one version."""

    def __init__(self, *, version: str) -> None:
        self._version = version.encode()
        self._prediction = (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-turnout-version: %b\r\nx-turnout-id: "
            % self._version
        )

    def prediction(self, body: bytes, prediction_id: str, *, keep_alive: bool) -> bytes:
        """An answered prediction. Its own function, because it is the hot one."""
        return b"%b%b\r\ncontent-length: %d%b\r\n\r\n%b" % (
            self._prediction,
            prediction_id.encode(),
            len(body),
            b"" if keep_alive else b"\r\nconnection: close",
            body,
        )

    def other(
        self,
        status: int,
        body: bytes,
        *,
        keep_alive: bool,
        content_type: bytes = JSON,
        allow: bytes = b"",
        without_body: bool = False,
    ) -> bytes:
        """Any other reply; `without_body` is what HEAD wants: the headers only."""
        return b"%b\r\ncontent-type: %b\r\nx-turnout-version: %b\r\ncontent-length: %d%b%b\r\n\r\n%b" % (
            _STATUS_LINES[status],
            content_type,
            self._version,
            len(body),
            b"\r\nallow: " + allow
            if allow
            else b"\r\nretry-after: 1"
            if status == HTTPStatus.SERVICE_UNAVAILABLE
            else b"",
            b"" if keep_alive else b"\r\nconnection: close",
            b"" if without_body else body,
        )
