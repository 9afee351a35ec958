"""The ledger's client: one method per call of its HTTP API.

Answers are the JSON objects that the API documents, as plain dicts. Whatever goes wrong comes out as an error of
`turnout.errors`, so no caller needs to know that HTTP is underneath. The client may be shared between threads.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeAlias
from urllib.parse import quote

import httpx
import orjson

from turnout.errors import Conflict, InputError, NotFound, TurnoutError, Unavailable

__all__ = ["LedgerClient"]

Json: TypeAlias = dict[str, Any]

_ERRORS: dict[int, type[TurnoutError]] = {404: NotFound, 409: Conflict, 410: NotFound}


class LedgerClient:
    """Speaks to one ledger at `base_url` with one token; keeps its connections open between calls.

    A token that is a function is asked for with every call: Kubernetes renews the tokens of ServiceAccounts.
    """

    def __init__(
        self,
        base_url: str,
        token: str | Callable[[], str],
        *,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url = base_url.rstrip("/")
        self._http = httpx.Client(
            base_url=self._url,
            auth=_Bearer(token),
            timeout=httpx.Timeout(timeout_s, connect=5.0),
            transport=transport,
            trust_env=False,  # the ledger is on loopback or in the cluster, never behind a proxy of the environment
        )

    def __enter__(self) -> LedgerClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def healthy(self) -> bool:
        """Whether the ledger answers and can write."""
        try:
            self._call("GET", "/healthz")
        except Unavailable:
            return False
        return True

    # ---- predictions ---------------------------------------------------------------------------------------------

    def events(
        self,
        *,
        log: str,
        endpoint: str,
        version: str,
        watermark_us: int,
        events: list[Json] | None = None,
        namespace: str = "default",
        final: bool = False,
        dropped: list[Json] | None = None,
        withdrawn: list[str] | None = None,
    ) -> Json:
        """Send prediction records of one log; without records it is a heartbeat that moves the watermark.

        `dropped` are intervals (from_us, to_us, events) whose records are lost, `withdrawn` ids that were not answered.
        """
        body: Json = {"log": log, "namespace": namespace, "endpoint": endpoint, "version": version}
        body |= {"watermark_us": watermark_us, "final": final, "events": events or []}
        body |= {"dropped": dropped or [], "withdrawn": withdrawn or []}
        return self._call("POST", "/v1/events", body=body)

    def prediction(self, prediction_id: str) -> Json:
        """One record, its feedback history and its outcome."""
        return self._call("GET", f"/v1/predictions/{_segment(prediction_id)}")

    def predictions(
        self,
        *,
        endpoint: str | None = None,
        namespace: str = "default",
        version: str | None = None,
        labelled: bool | None = None,
        since_us: int | None = None,
        until_us: int | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Json:
        """Records, newest first: `{"predictions": [...], "cursor": opaque or null at the end}`."""
        query: Json = {"endpoint": endpoint, "namespace": namespace, "version": version, "labelled": labelled}
        query |= {"since_us": since_us, "until_us": until_us, "limit": limit, "cursor": cursor}
        return self._call("GET", "/v1/predictions", query=query)

    def erase(self, prediction_id: str) -> bool:
        """Erase content and keys of a prediction; False when it is not here and will be erased when it comes."""
        return "status" not in self._call("DELETE", f"/v1/predictions/{_segment(prediction_id)}")

    def lineage(self, prediction_id: str) -> Json:
        """What put its version in front of that request: the record's head and the audit rows."""
        return self._call("GET", f"/v1/predictions/{_segment(prediction_id)}/lineage")

    # ---- feedback ------------------------------------------------------------------------------------------------

    def feedback(
        self,
        prediction_id: str,
        *,
        label: Any = None,
        score: float | None = None,
        comment: str | None = None,
        by: str | None = None,
        method: str = "POST",
    ) -> Json:
        """Label a prediction: POST for the first label, PUT to set or correct, PATCH to change only what is given."""
        body = _given(label=label, score=score, comment=comment, by=by)
        return self._call(method, f"/v1/predictions/{_segment(prediction_id)}/feedback", body=body)

    def feedback_by_caller(
        self,
        caller_id: str,
        *,
        label: Any = None,
        score: float | None = None,
        comment: str | None = None,
        by: str | None = None,
        namespace: str | None = None,
        endpoint: str | None = None,
        method: str = "POST",
    ) -> Json:
        """Label every prediction that carries this caller's id, of one endpoint if it is named."""
        body = _given(label=label, score=score, comment=comment, by=by, namespace=namespace, endpoint=endpoint)
        return self._call(method, "/v1/feedback", body={"caller_id": caller_id, **body})

    def feedback_in_bulk(self, rows: Iterable[Json], *, method: str = "POST") -> Iterator[Json]:
        """Send rows (id, and label or score) as a stream; yields one result for each, with its HTTP `status`."""
        return self.feedback_file((orjson.dumps(row) + b"\n" for row in rows), method=method)

    def feedback_file(
        self, content: Iterable[bytes], *, kind: str = "application/x-ndjson", method: str = "POST"
    ) -> Iterator[Json]:
        """Send a file of rows as it is, NDJSON or with `kind` text/csv; yields one result for each row."""
        headers = {"content-type": kind}
        for line in self._lines(method, "/v1/feedback/bulk", content=content, headers=headers):
            yield orjson.loads(line)

    # ---- keeping ------------------------------------------------------------------------------------------------

    def erase_subject(self, subject: str) -> int:
        """Erase all predictions of a subject; how many there were."""
        return int(self._call("DELETE", "/v1/predictions", query={"subject": subject})["erased"])

    def verify_audit(self) -> Json:
        """`{"rows": n, "intact": bool, "problem": which row is not what was written, or null}`."""
        return self._call("GET", "/v1/audit/verify")

    def retain(self, *, before_us: int, dry_run: bool = False) -> Json:
        """Drop the months before a time: `{"drop": [...], "keep": [{"month", "reasons"}]}`."""
        return self._call("POST", "/v1/retention", body={"before_us": before_us, "dry_run": dry_run})

    def pin(
        self,
        name: str,
        *,
        endpoint: str,
        since_us: int,
        until_us: int,
        reason: str,
        version: str | None = None,
        namespace: str = "default",
    ) -> Json:
        """Keep a time range from retention: as long as `version` gets requests, or without one until `unpin`."""
        body: Json = {"endpoint": endpoint, "namespace": namespace, "version": version, "reason": reason}
        return self._call("PUT", f"/v1/pins/{_segment(name)}", body=body | {"since_us": since_us, "until_us": until_us})

    def pins(self) -> list[Json]:
        """What retention leaves alone, and why."""
        return list(self._call("GET", "/v1/pins")["pins"])

    def unpin(self, name: str) -> None:
        """Take a pin away."""
        self._call("DELETE", f"/v1/pins/{_segment(name)}")

    # ---- turnouts ------------------------------------------------------------------------------------------------

    def evidence(
        self,
        turnout: str,
        *,
        champion: str,
        challenger: str,
        window_us: int,
        namespace: str = "default",
        kind: str = "predictions",
        host: str = "",
        cursor: str | None = None,
        since_us: int | None = None,
        limit: int = 10_000,
    ) -> Json:
        """The next frozen units of two versions after `cursor`."""
        query: Json = {"namespace": namespace, "champion": champion, "challenger": challenger, "kind": kind}
        query |= {"host": host, "cursor": cursor, "since_us": since_us, "window_us": window_us, "limit": limit}
        return self._call("GET", f"/v1/turnouts/{_segment(turnout)}/evidence", query=query)

    def pairs(
        self,
        turnout: str,
        *,
        shadow: str,
        window_us: int,
        namespace: str = "default",
        cursor: str | None = None,
        since_us: int | None = None,
        limit: int = 1_000,
    ) -> Json:
        """What a shadow answered beside what the callers got, after `cursor`."""
        query: Json = {"namespace": namespace, "shadow": shadow, "cursor": cursor, "since_us": since_us}
        return self._call(
            "GET", f"/v1/turnouts/{_segment(turnout)}/pairs", query=query | {"window_us": window_us, "limit": limit}
        )

    def state(self, turnout: str, *, namespace: str = "default") -> Json:
        """`{"generation": g, "state": {...} or null}`; generation 0 before the first write."""
        return self._call("GET", f"/v1/turnouts/{_segment(turnout)}/state", query={"namespace": namespace})

    def put_state(
        self,
        turnout: str,
        *,
        if_generation: int,
        state: Json,
        audit: list[Json] | None = None,
        namespace: str = "default",
    ) -> Json:
        """Replace the state and append audit rows, both or neither; Conflict when the generation is not current."""
        body = {"if_generation": if_generation, "state": state, "audit": audit or []}
        return self._call("PUT", f"/v1/turnouts/{_segment(turnout)}/state", query={"namespace": namespace}, body=body)

    def summary(self, turnout: str, *, namespace: str = "default") -> Json:
        """Counts and mean outcome per version."""
        return self._call("GET", f"/v1/turnouts/{_segment(turnout)}/summary", query={"namespace": namespace})

    def audit(
        self,
        *,
        namespace: str | None = None,
        turnout: str | None = None,
        action: str | None = None,
        after_seq: int = 0,
        limit: int = 1000,
    ) -> Json:
        """Audit rows in order: `{"rows": [...]}`."""
        query = {"namespace": namespace, "turnout": turnout, "action": action, "after_seq": after_seq, "limit": limit}
        return self._call("GET", "/v1/audit", query=query)

    def live(self, *, at_us: int | None = None, namespace: str | None = None, endpoint: str | None = None) -> Json:
        """Which versions answered with which weights at that time, as the audit has it; now without `at_us`."""
        return self._call("GET", "/v1/live", query={"at_us": at_us, "namespace": namespace, "endpoint": endpoint})

    def gateway_log(self, *, log: str, watermark_us: int, events: list[Json], final: bool = False) -> Json:
        """Send requests of a gateway's access log."""
        body = {"log": log, "watermark_us": watermark_us, "final": final, "events": events}
        return self._call("POST", "/v1/gateway-log", body=body)

    def watch(self, *, namespace: str = "default", endpoint: str | None = None) -> Iterator[tuple[str, Json]]:
        """What happens from now on, as (prediction, feedback or decision; its head), until the ledger ends."""
        query = _given(namespace=namespace, endpoint=endpoint)
        kind = ""
        for line in self._lines("GET", "/v1/watch", params=query):
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield kind, orjson.loads(value)

    # ---- one way in and out --------------------------------------------------------------------------------------

    def _call(self, method: str, path: str, *, query: Json | None = None, body: Json | None = None) -> Json:
        try:
            reply = self._http.request(
                method,
                path,
                params=_given(**{name: _text(value) for name, value in (query or {}).items()}),
                content=None if body is None else orjson.dumps(body),
                headers=None if body is None else {"content-type": "application/json"},
            )
        except httpx.TransportError as error:
            raise self._unavailable(error) from error
        if reply.is_success:
            return self._json(reply) if reply.content else {}
        raise self._error(reply)

    def _lines(self, method: str, path: str, **request: Any) -> Iterator[str]:
        """An answer that is read while it comes."""
        try:
            with self._http.stream(method, path, **request) as reply:
                if not reply.is_success:
                    reply.read()
                    raise self._error(reply)
                yield from reply.iter_lines()
        except httpx.TransportError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: httpx.TransportError) -> Unavailable:
        return Unavailable(f"no ledger answers at {self._url}: {str(error) or type(error).__name__}")

    def _json(self, reply: httpx.Response) -> Json:
        try:
            answer = orjson.loads(reply.content)
        except orjson.JSONDecodeError as error:
            raise Unavailable(f"what answers at {self._url} is no ledger: its answer is not JSON") from error
        if not isinstance(answer, dict):
            raise Unavailable(f"what answers at {self._url} is no ledger: its answer is not an object")
        return answer

    def _error(self, reply: httpx.Response) -> TurnoutError:
        message = f"{_detail(reply)} (HTTP {reply.status_code} from {reply.request.method} {reply.request.url})"
        if reply.status_code in _ERRORS:
            return _ERRORS[reply.status_code](message)
        return InputError(message) if reply.is_client_error else Unavailable(message)


class _Bearer(httpx.Auth):
    def __init__(self, token: str | Callable[[], str]) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._token if isinstance(self._token, str) else self._token()
        request.headers["authorization"] = f"Bearer {token}"
        yield request


def _given(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def _text(value: Any) -> Any:
    """Query values as the API spells them: true, not True."""
    return str(value).lower() if isinstance(value, bool) else value


def _segment(name: str) -> str:
    """A name as one segment of a path, whatever it holds."""
    return quote(name, safe="")


def _detail(reply: httpx.Response) -> str:
    """What the problem document says; proxies in between answer without one."""
    try:
        problem = orjson.loads(reply.content)
    except orjson.JSONDecodeError:
        return reply.reason_phrase
    return str(problem.get("detail", reply.reason_phrase)) if isinstance(problem, dict) else reply.reason_phrase
