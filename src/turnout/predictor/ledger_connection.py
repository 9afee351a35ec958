"""One HTTP connection to the ledger, on the standard library: httpx would double the predictor's memory.

It sends events and translates every way in which that can go wrong; it retries nothing but a kept-alive connection
that the ledger had meanwhile closed.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from turnout.errors import InputError, Unavailable

__all__ = ["LedgerConnection", "Rejection"]

_REFUSED = frozenset({400, 413, 422})


@dataclass(frozen=True)
class Rejection:
    """One record that the ledger will never take, and why."""

    index: int
    reason: str


class LedgerConnection:
    """Posts to `/v1/events`. Not thread-safe."""

    def __init__(self, url: str, token_file: str, *, timeout_s: float = 10.0) -> None:
        """Nothing is connected or read before the first post.

        Raises:
            InputError: the URL is not one of http or https.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InputError(f"ledger_url: wanted http://host:port, found {url!r}")
        self.url = url
        self._path = parts.path.rstrip("/") + "/v1/events"
        self._token_file = Path(token_file)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._http = kind(parts.hostname, parts.port, timeout=timeout_s)

    def post_events(self, body: bytes) -> tuple[Rejection, ...]:
        """Deliver one batch; returns the records that were rejected.

        Raises:
            Unavailable: the ledger cannot take it now.
            InputError: the ledger will never take this batch as it is.
        """
        status, answer = self._request(body)
        if status in _REFUSED:
            raise InputError(f"{self.url}: refused with {status}: {answer[:200].decode(errors='replace')}")
        if status != 200:
            raise Unavailable(f"{self.url}: wanted 200, found {status}")
        try:
            rejected = orjson.loads(answer)["rejected"]
            return tuple(Rejection(index=int(entry["index"]), reason=str(entry["reason"])) for entry in rejected)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"{self.url}: wanted a ledger's answer, found {answer[:80]!r}") from error

    def close(self) -> None:
        """Hang up; the next post connects again."""
        self._http.close()

    def _request(self, body: bytes) -> tuple[int, bytes]:
        # The token is read each time: it may be rotated while this process lives.
        try:
            token = self._token_file.read_text().strip()
        except OSError as error:
            raise Unavailable(f"{self._token_file}: cannot read the ledger's token: {error.strerror}") from error
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        try:
            if self._http.sock is not None:
                try:
                    return self._exchange(body, headers)
                except ConnectionError:
                    # The ledger may hang up a kept-alive connection at any time; events may be sent twice.
                    self.close()
            return self._exchange(body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unavailable(f"{self.url}: does not answer: {error}") from error

    def _exchange(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        self._http.request("POST", self._path, body=body, headers=headers)
        response = self._http.getresponse()
        return response.status, response.read()
