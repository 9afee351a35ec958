"""Deploy: serve a version, ask it one question, and name it as a challenger.

What becomes of it then is the controller's alone: this step touches neither weights nor status.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

from turnout.errors import Conflict, Failed, NotFound, Unavailable
from turnout.kube import inferenceservices, turnouts
from turnout.kube.inferenceservices import Version
from turnout.spec import ModelSpec
from turnout.steps import artifact, parts
from turnout.steps.parts import Array

if TYPE_CHECKING:
    from turnout.kube.client import Kube

__all__ = ["Gateway", "Smoke", "challenge", "deploy", "smoke_question", "smoke_test"]

_READY_TIMEOUT_S = 300.0
_GATEWAY_TIMEOUT_S = 30.0
_PAUSE_S = 0.1
_ATTEMPTS = 10
# A value may differ in its last digits between the machine that built and the one that serves.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Gateway:
    """Where requests enter: the address to connect to, and the domain of the host names."""

    url: str
    domain: str


@dataclass(frozen=True)
class Smoke:
    """One V2 request, and what the version must answer."""

    request: Mapping[str, Any]
    expected: int | float | str


def deploy(spec: ModelSpec, *, version: Version, smoke: Smoke, namespace: str, kube: Kube, gateway: Gateway) -> None:
    """Serve the version, check that it answers as it did in evaluation, then name it as challenger. Safe to repeat.

    Raises:
        Conflict: its name serves another model already.
        Failed: the version does not become ready, or answers otherwise.
        Unavailable: the gateway does not let requests through to it.
    """
    _check_free(version, namespace=namespace, kube=kube)
    kube.apply(inferenceservices.build(version, namespace=namespace, replicas=spec.serving.replicas))
    kube.wait("InferenceService", version.name, namespace=namespace, timeout_s=_READY_TIMEOUT_S)
    smoke_test(version.name, smoke=smoke, namespace=namespace, gateway=gateway)
    challenge(spec, version=version.name, namespace=namespace, kube=kube)


def smoke_question(best: Path, *, test: Path, spec: ModelSpec) -> Smoke:
    """A row of the test part (the first without gaps, if there is one) with the exported model's own answer."""
    part = parts.read(test, spec=spec)
    model = artifact.load(best)
    row = parts.select(part.features, slice(_first_whole(part.features, part.rows), None))
    one = parts.select(row, slice(0, 1))
    return Smoke(request=model.request(one), expected=model.predict(one).values[0])


def smoke_test(
    version: str, *, smoke: Smoke, namespace: str, gateway: Gateway, timeout_s: float = _GATEWAY_TIMEOUT_S
) -> None:
    """Ask the version through the gateway, at its own host name.

    A gateway learns of a new host a moment after the version is ready, so answers of the gateway itself (404, 503) are
    asked again for a while; the version's own answer is final.
    """
    host = f"{version}-{namespace}.{gateway.domain}"
    url = f"{gateway.url.rstrip('/')}/v2/models/{version}/infer"
    deadline = time.monotonic() + timeout_s
    with httpx.Client(timeout=10.0, headers={"Host": host}) as client:
        while True:
            said, response = _ask(client, url, smoke.request)
            if response is not None:
                return _check(response, version=version, expected=smoke.expected)
            if time.monotonic() > deadline:
                raise Unavailable(f"{version} is ready, but {url} with Host {host} does not reach it: {said}")
            time.sleep(_PAUSE_S)


def challenge(spec: ModelSpec, *, version: str, namespace: str, kube: Kube) -> None:
    """Name the version in the endpoint's Turnout, which is made when there is none.

    Raises:
        Conflict: somebody else keeps changing the Turnout.
    """
    for _ in range(_ATTEMPTS):
        try:
            _challenge_once(spec, version=version, namespace=namespace, kube=kube)
        except Conflict:
            continue
        return
    raise Conflict(
        f"Turnout {namespace}/{spec.name} changed {_ATTEMPTS} times while {version} was to be added; try again"
    )


def _check_free(version: Version, *, namespace: str, kube: Kube) -> None:
    """A version is never replaced: what has its name may be the champion, and no canary has tried this one."""
    try:
        found = kube.get("InferenceService", version.name, namespace=namespace)
    except NotFound:
        return
    digest = (found["metadata"].get("annotations") or {}).get(inferenceservices.DIGEST, "without a digest")
    if digest != version.digest:
        raise Conflict(
            f"InferenceService {namespace}/{version.name} serves another model ({digest}, wanted {version.digest}): "
            "was the model registry begun anew? A version is never replaced; register under another name, "
            "or delete that InferenceService if nobody is served by it"
        )


def _challenge_once(spec: ModelSpec, *, version: str, namespace: str, kube: Kube) -> None:
    try:
        turnout = kube.get("Turnout", spec.name, namespace=namespace)
    except NotFound:
        kube.create(turnouts.build(spec.name, namespace=namespace, challengers=[version], policy=dict(spec.rollout)))
        return
    named = list((turnout.get("spec") or {}).get("challengers") or [])
    if version in named or (turnout.get("status") or {}).get("champion") == version:
        return
    # With the resourceVersion, so that a challenger that somebody else adds meanwhile is not lost.
    body = {
        "metadata": {"resourceVersion": turnout["metadata"]["resourceVersion"]},
        "spec": {"challengers": [*named, version]},
    }
    kube.patch("Turnout", spec.name, namespace=namespace, body=body)


def _ask(client: httpx.Client, url: str, request: Mapping[str, Any]) -> tuple[str, httpx.Response | None]:
    """The version's answer, or in words why there is none yet."""
    try:
        response = client.post(url, json=request)
    except httpx.TransportError as error:
        return f"{type(error).__name__}: {error}", None
    if response.status_code in (404, 502, 503, 504) and "x-turnout-version" not in response.headers:
        return f"{response.status_code} {response.text[:200]}", None
    return "", response


def _check(response: httpx.Response, *, version: str, expected: int | float | str) -> None:
    if response.status_code != 200:
        raise Failed(f"{version} answered the smoke request with {response.status_code}: {response.text[:300]}")
    answer = response.json()
    if answer.get("model_version") != version:
        raise Failed(f"the smoke request for {version} was answered by {answer.get('model_version')}")
    found = answer["outputs"][0]["data"][0]
    if not _same(found, expected):
        raise Failed(f"{version} answered {found!r} to the smoke request; in evaluation it answered {expected!r}")


def _same(found: Any, expected: Any) -> bool:
    if isinstance(expected, float | np.floating):
        return math.isclose(float(found), float(expected), rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(found == expected)


def _first_whole(features: Mapping[str, Array], rows: int) -> int:
    whole = np.ones(rows, dtype=bool)
    for values in features.values():
        whole &= values != "" if values.dtype == object else np.isfinite(values)
    return int(np.argmax(whole))
