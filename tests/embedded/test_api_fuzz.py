from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.embedded.apiserver import (
    CORE,
    ROUTES,
    RUNTIMES,
    SERVICES,
    Api,
    config_map,
    inference_service,
    opened,
    route,
    runtime,
)

# Kubernetes itself answers these with 500, and tools know the texts.
KNOWN = ("failed to create typed patch object", "resourceVersion should not be set")
JUNK = st.sampled_from(
    [None, True, 0, -1, 2**40, 1.5, "", "a b", "\x00", [], [None], [1], {}, {"a": None}, {"name": 1}]
)
BODIES: dict[str, dict[str, Any]] = {
    f"{CORE}/configmaps": config_map(data={"k": "v"}, labels={"l": "1"}),
    ROUTES: route(hostnames=["a.test"], rules=[{"backendRefs": [{"name": "r", "port": 80}], "filters": []}]),
    RUNTIMES: runtime(),
    SERVICES: inference_service(
        minReplicas=1, model={"modelFormat": {"name": "onnx"}, "env": [{"name": "A", "value": "1"}]}
    ),
}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with opened(tmp_path) as api:
        yield api


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in below for found in ((*path, key), *places(item, (*path, key)))]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, Any]:
    """A path, and a body for it in which a few places hold something else."""
    path = draw(st.sampled_from(sorted(BODIES)))
    body = json.loads(json.dumps(BODIES[path]))
    for _ in range(draw(st.integers(0, 3))):
        found = places(body)
        if not found:
            break
        *steps, last = draw(st.sampled_from(found))
        parent = body
        for step in steps:
            parent = parent[step]
        parent[last] = copy.deepcopy(draw(JUNK))
    return path, body


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_body=damaged(), how=st.sampled_from(["post", "put", "json", "merge", "strategic", "apply"]))
def test_no_object_however_damaged_breaks_the_api(api: Api, given_body: tuple[str, Any], how: str) -> None:
    path, body = given_body
    if how == "post":
        answer = api.post(path, body)
    elif how == "put":
        answer = api.put(f"{path}/a", body)
    else:
        patch = [{"op": "add", "path": "", "value": body}] if how == "json" else body
        answer = api.patch(f"{path}/a", patch, how=how, fieldManager="m")
    assert answer.status_code < 500 or any(text in answer.text for text in KNOWN), answer.text
    assert api.get(path).status_code == 200
