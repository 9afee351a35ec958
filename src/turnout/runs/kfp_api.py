"""Kubeflow Pipelines' HTTP API (2.17), as far as runs and schedules need it.

Not `kfp.Client`: its errors carry the server's stack traces, it cannot read a step's log, and importing it costs
0.6 s. Seen on a real 2.17 and guarded against here: a file that is no YAML hangs the server for ever; a cron of five
fields is taken and means every *second*; an unknown version is a 500; a failing step's traceback is in one v1alpha1
path only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import yaml

from turnout.errors import Conflict, Failed, InputError, NotFound, TurnoutError, Unavailable

__all__ = ["ENDED", "Kfp", "PipelineVersion"]

ENDED = frozenset({"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"})
_EXPERIMENT = "turnout"
_SERVICE_ACCOUNT = "pipeline-runner"
_CRON_FIELDS = 6
_IS = 1  # the API's operation "equals"


@dataclass(frozen=True)
class PipelineVersion:
    """A pipeline's version, by the server's ids."""

    pipeline: str
    version: str

    @property
    def reference(self) -> dict[str, str]:
        """As requests name it."""
        return {"pipeline_id": self.pipeline, "pipeline_version_id": self.version}


class Kfp:
    """One server. Errors are Turnout's, in the words of the server's message."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(base_url=self._url, timeout=30.0, transport=transport, trust_env=False)

    def upload(self, name: str, text: str) -> PipelineVersion:
        """The version of a pipeline that holds this text: the one that is there, or a new one.

        A version is named by the text's digest, so that equal files are uploaded once.

        Raises:
            InputError: the text is no compiled pipeline; nothing was sent.
        """
        _check(text)
        label = hashlib.sha256(text.encode()).hexdigest()[:16]
        pipeline = self._pipeline(name)
        if pipeline is None:
            try:
                pipeline = str(self._send_file("/pipelines/upload", text, name=name)["pipeline_id"])
            except Conflict:  # somebody was faster
                pipeline = self._pipeline(name)
                if pipeline is None:
                    raise
        if found := self._version(pipeline, label):
            return found
        try:
            made = self._send_file("/pipelines/upload_version", text, name=label, pipelineid=pipeline)
        except Conflict:
            if found := self._version(pipeline, label):
                return found
            raise
        return PipelineVersion(pipeline, str(made["pipeline_version_id"]))

    def start(self, version: PipelineVersion, *, name: str, parameters: Mapping[str, Any]) -> str:
        """Start a run; its id."""
        body = self._job(version, name=name, parameters=parameters)
        return str(self._call("POST", "/runs", body=body)["run_id"])

    def _job(self, version: PipelineVersion, *, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What is run: once, or by a schedule."""
        return {
            "experiment_id": self._experiment(),
            "display_name": name,
            "pipeline_version_reference": version.reference,
            "runtime_config": {"parameters": dict(parameters)},
            "service_account": _SERVICE_ACCOUNT,
        }

    def run(self, run: str) -> dict[str, Any]:
        """State and task details of a run."""
        return self._call("GET", f"/runs/{run}")

    def terminate(self, run: str) -> None:
        """Stop a run."""
        self._call("POST", f"/runs/{run}:terminate")

    def log(self, run: str, pod: str) -> str:
        """What a step's Pod printed, also when it is gone; there once the step has ended."""
        reply = self._request("GET", f"/apis/v1alpha1/runs/{run}/nodes/{pod}/log")
        return reply.text

    def schedule(self, version: PipelineVersion, *, name: str, cron: str, parameters: Mapping[str, Any]) -> str:
        """Start runs by a cron of six fields, the first of them seconds; the schedule's id.

        One at a time, and what was missed while the server was away is not caught up.

        Raises:
            InputError: the cron has not six fields.
        """
        fields = cron.split()
        if len(fields) != _CRON_FIELDS:
            hint = f"; for every minute of that cron say '0 {cron}'" if len(fields) == _CRON_FIELDS - 1 else ""
            raise InputError(f"cron {cron!r}: wanted six fields, seconds first, found {len(fields)}{hint}")
        body = {
            **self._job(version, name=name, parameters=parameters),
            "max_concurrency": 1,
            "no_catchup": True,
            "mode": "ENABLE",
            "trigger": {"cron_schedule": {"cron": cron}},
        }
        return str(self._call("POST", "/recurringruns", body=body)["recurring_run_id"])

    def unschedule(self, schedule: str) -> None:
        """Take a schedule away; runs that it started stay."""
        self._call("DELETE", f"/recurringruns/{schedule}")

    def _pipeline(self, name: str) -> str | None:
        found = self._named("/pipelines", "pipelines", name)
        return str(found["pipeline_id"]) if found else None

    def _version(self, pipeline: str, label: str) -> PipelineVersion | None:
        query = {"page_token": "", "page_size": "100", "sort_by": "created_at desc"}
        found = self._call("GET", f"/pipelines/{pipeline}/versions", query=query).get("pipeline_versions") or []
        version = next((one for one in found if one["display_name"] == label), None)
        return PipelineVersion(pipeline, str(version["pipeline_version_id"])) if version else None

    def _experiment(self) -> str:
        found = self._named("/experiments", "experiments", _EXPERIMENT)
        if found is None:
            found = self._call("POST", "/experiments", body={"display_name": _EXPERIMENT})
        return str(found["experiment_id"])

    def _named(self, path: str, key: str, name: str) -> dict[str, Any] | None:
        predicate = {"operation": _IS, "key": "display_name", "stringValue": name}
        listed = self._call("GET", path, query={"filter": json.dumps({"predicates": [predicate]})})
        return next(iter(listed.get(key) or []), None)

    def _send_file(self, path: str, text: str, **query: str) -> dict[str, Any]:
        files = {"uploadfile": ("pipeline.yaml", text.encode(), "application/yaml")}
        reply = self._request("POST", f"/apis/v2beta1{path}", params=query, files=files)
        return dict(reply.json())

    def _call(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None
    ) -> dict[str, Any]:
        reply = self._request(method, f"/apis/v2beta1{path}", params=query, json=body)
        return dict(reply.json()) if reply.content else {}

    def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            reply = self._http.request(method, path, **more)
        except httpx.TransportError as error:
            problem = str(error) or type(error).__name__
            raise Unavailable(f"no Kubeflow Pipelines answers at {self._url}: {problem}") from error
        if reply.is_error:
            raise _error(reply)
        return reply


def _check(text: str) -> None:
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise InputError(f"the pipeline is no YAML, and would hang the server: {error}") from error
    if not documents or not isinstance(documents[0], dict) or "pipelineInfo" not in documents[0]:
        raise InputError("wanted a compiled pipeline, with pipelineInfo")


def _error(reply: httpx.Response) -> TurnoutError:
    """The innermost message: the outer ones say where in the server it passed by."""
    try:
        body = reply.json()
        details = body.get("details") or [{}]
        message = details[0].get("message") or body.get("message") or body.get("error_message") or reply.text
        outer = str(body.get("message") or "")
    except (ValueError, AttributeError, IndexError):
        message, outer = reply.reason_phrase, ""
    text = f"Kubeflow Pipelines: {message} (HTTP {reply.status_code})"
    if reply.status_code == httpx.codes.NOT_FOUND or "ResourceNotFoundError" in outer:
        return NotFound(f"Kubeflow Pipelines: {outer.rpartition('ResourceNotFoundError: ')[2] or message}")
    if reply.status_code == httpx.codes.CONFLICT:
        return Conflict(text)
    if reply.is_client_error:
        return InputError(text)
    return Unavailable(text) if reply.status_code in (502, 503, 504) else Failed(text)
