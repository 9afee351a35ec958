"""One Kubernetes client for both engines: requests as data over the `kubernetes` package's transport.

Everything that talks to the API server from outside it goes through here: steps, controller, CLI and tests.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import urllib3
from kubernetes import client as _client
from kubernetes import config as _config

from turnout import settings
from turnout.errors import Conflict, Failed, InputError, NotFound, TurnoutError, Unavailable

__all__ = ["KINDS", "Kube", "connect"]

FIELD_MANAGER = "turnout"
_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Resource:
    """Where the API server keeps a kind."""

    api: str
    plural: str
    namespaced: bool = True


KINDS: Mapping[str, Resource] = {
    "ConfigMap": Resource("api/v1", "configmaps"),
    "Event": Resource("api/v1", "events"),
    "Namespace": Resource("api/v1", "namespaces", namespaced=False),
    "Pod": Resource("api/v1", "pods"),
    "Secret": Resource("api/v1", "secrets"),
    "Service": Resource("api/v1", "services"),
    "ServiceAccount": Resource("api/v1", "serviceaccounts"),
    "TokenReview": Resource("apis/authentication.k8s.io/v1", "tokenreviews", namespaced=False),
    "Deployment": Resource("apis/apps/v1", "deployments"),
    "Lease": Resource("apis/coordination.k8s.io/v1", "leases"),
    "BackendTrafficPolicy": Resource("apis/gateway.envoyproxy.io/v1alpha1", "backendtrafficpolicies"),
    "HTTPRoute": Resource("apis/gateway.networking.k8s.io/v1", "httproutes"),
    "InferenceService": Resource("apis/serving.kserve.io/v1beta1", "inferenceservices"),
    "ServingRuntime": Resource("apis/serving.kserve.io/v1alpha1", "servingruntimes"),
    "ClusterServingRuntime": Resource("apis/serving.kserve.io/v1alpha1", "clusterservingruntimes", namespaced=False),
    "Turnout": Resource("apis/turnout.dev/v1alpha1", "turnouts"),
}


def _path(kind: str, namespace: str | None, name: str | None, *, status: bool = False) -> str:
    resource = KINDS[kind]
    parts = [resource.api]
    if resource.namespaced and namespace is not None:
        parts += ["namespaces", namespace]
    parts.append(resource.plural)
    if name is not None:
        parts.append(name)
    if status:
        parts.append("status")
    return "/" + "/".join(parts)


class Kube:
    """Verbs of the Kubernetes API on plain objects.

    Errors are Turnout's: `NotFound` for 404, `Conflict` for 409, `InputError` for what the server refuses as wrong,
    `Unavailable` when nobody answers.
    """

    def __init__(self, api: Any) -> None:
        self._api = api

    @property
    def server(self) -> str:
        """Address of the API server."""
        return str(self._api.configuration.host)

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> dict[str, Any]:
        """One object."""
        return self._call("GET", _path(kind, namespace, name))

    def list(
        self, kind: str, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """All objects of a kind, in one namespace or in all."""
        query = [("labelSelector", ",".join(f"{k}={v}" for k, v in labels.items()))] if labels else []
        return cast(list[dict[str, Any]], self._call("GET", _path(kind, namespace, None), query=query)["items"])

    def create(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object; `Conflict` when it exists."""
        return self._call("POST", _path(obj["kind"], obj["metadata"].get("namespace"), None), body=obj)

    def apply(self, obj: Mapping[str, Any], *, manager: str = FIELD_MANAGER) -> dict[str, Any]:
        """Server-side apply: make the fields that `obj` names what they say, whoever owned them."""
        metadata = obj["metadata"]
        return self._call(
            "PATCH",
            _path(obj["kind"], metadata.get("namespace"), metadata["name"]),
            body=obj,
            query=[("fieldManager", manager), ("force", "true")],
            content_type="application/apply-patch+yaml",
        )

    def patch(
        self, kind: str, name: str, *, namespace: str | None = None, body: Mapping[str, Any], status: bool = False
    ) -> dict[str, Any]:
        """Merge patch. With `metadata.resourceVersion` in the body a change by somebody else is a `Conflict`."""
        return self._call(
            "PATCH",
            _path(kind, namespace, name, status=status),
            body=body,
            content_type="application/merge-patch+json",
        )

    def delete(self, kind: str, name: str, *, namespace: str | None = None) -> None:
        """Delete an object; one that is gone already is fine."""
        try:
            self._call("DELETE", _path(kind, namespace, name))
        except NotFound:
            return

    def wait(
        self,
        kind: str,
        name: str,
        *,
        namespace: str | None = None,
        condition: str = "Ready",
        timeout_s: float = 120.0,
        poll_s: float = 0.1,
        generation: int | None = None,
    ) -> dict[str, Any]:
        """Wait until the object's condition is True.

        Raises:
            Failed: time is up; the message repeats what the conditions say.
        """

        def holds(obj: dict[str, Any]) -> bool:
            status = obj.get("status") or {}
            if generation is not None and status.get("observedGeneration", generation) < generation:
                return False
            return any(c.get("type") == condition and c.get("status") == "True" for c in status.get("conditions") or [])

        return self.wait_until(
            kind,
            name,
            namespace=namespace,
            holds=holds,
            what=f"condition {condition}",
            timeout_s=timeout_s,
            poll_s=poll_s,
        )

    def wait_until(
        self,
        kind: str,
        name: str,
        *,
        namespace: str | None = None,
        holds: Callable[[dict[str, Any]], bool],
        what: str,
        timeout_s: float = 120.0,
        poll_s: float = 0.1,
    ) -> dict[str, Any]:
        """Wait until `holds(object)`; `what` says in words what is waited for.

        Raises:
            Failed: time is up, or the model of an InferenceService has failed to load for good.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            obj = self.get(kind, name, namespace=namespace)
            if holds(obj):
                return obj
            if time.monotonic() > deadline or _has_failed_for_good(obj):
                raise Failed(f"{kind} {name} did not reach {what}: {_why(obj)}")
            time.sleep(poll_s)

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Sequence[tuple[str, str]] = (),
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        try:
            response = self._api.call_api(
                path,
                method,
                query_params=list(query),
                header_params={"Accept": "application/json", "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=_TIMEOUT_S,
            )
        except _client.ApiException as error:
            raise _translated(error, f"{method} {path}") from error
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(
                f"the Kubernetes API at {self.server} does not answer ({type(error).__name__})"
            ) from error
        return cast(dict[str, Any], json.loads(response.data))


def _has_failed_for_good(obj: Mapping[str, Any]) -> bool:
    """An immutable version whose artifact cannot be loaded will not become ready by waiting."""
    model = (obj.get("status") or {}).get("modelStatus") or {}
    return model.get("transitionStatus") in ("BlockedByFailedLoad", "InvalidSpec")


def _why(obj: Mapping[str, Any]) -> str:
    status = obj.get("status") or {}
    failure = (status.get("modelStatus") or {}).get("lastFailureInfo") or {}
    texts = [
        f"{c['type']}={c.get('status')} {c.get('reason', '')} {c.get('message', '')}".strip()
        for c in status.get("conditions") or []
        if c.get("status") != "True" and c.get("severity") != "Info"
    ]
    if failure.get("message"):
        texts.append(f"{failure.get('reason', '')}: {failure['message']}")
    return "; ".join(texts) or "its status says nothing yet"


def _translated(error: Any, request: str) -> TurnoutError:
    try:
        message = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        message = str(error.reason)
    classes: dict[int, type[TurnoutError]] = {
        404: NotFound,
        409: Conflict,
        429: Unavailable,
        503: Unavailable,
        504: Unavailable,
    }
    status = int(error.status or 0)
    default = InputError if 400 <= status < 500 else Failed
    return classes.get(status, default)(f"{request}: {message}")


def _configuration_file() -> Path | None:
    named = settings.read("KUBECONFIG")
    if named:
        return Path(named)
    own = settings.home() / "kubeconfig"
    return own if own.exists() else None


def connect(kubeconfig: Path | None = None) -> Kube:
    """A client for the cluster that is configured: KUBECONFIG, TURNOUT_HOME/kubeconfig, the Pod's own, ~/.kube/config.

    Raises:
        Unavailable: there is no configuration at all.
    """
    configuration = _client.Configuration()
    path = kubeconfig or _configuration_file()
    try:
        if path is not None:
            _config.load_kube_config(str(path), client_configuration=configuration)
        else:
            _load_default(configuration)
    except _config.ConfigException as error:
        where = f"in {path}" if path else "(KUBECONFIG is not set, and there is no engine's kubeconfig)"
        raise Unavailable(f"no usable Kubernetes configuration {where}; start the engine with `turnout up`") from error
    # The package retries a refused connection three times with pauses; ours is to say so at once. What only reads may
    # meet a kept connection that the server is just closing: once more, then.
    configuration.retries = urllib3.Retry(total=2, connect=0, read=1, backoff_factor=0)
    return Kube(_client.ApiClient(configuration))


def _load_default(configuration: Any) -> None:
    try:
        _config.load_incluster_config(client_configuration=configuration)
    except _config.ConfigException:
        _config.load_kube_config(client_configuration=configuration)
