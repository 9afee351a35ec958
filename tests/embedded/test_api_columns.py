from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from turnout.embedded import jsonpath
from turnout.embedded.columns import human_duration
from turnout.embedded.kinds import KINDS
from turnout.errors import InputError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def ago(seconds: int) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def cells(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "x", "creationTimestamp": ago(90)}
    return {column.name: column.cell({"metadata": metadata, **obj}, NOW) for column in KINDS[kind].columns}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (121, "2m1s"),
        (600, "10m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (9 * 3600, "9h"),
        (3 * 86400, "3d"),
        (3 * 86400 + 3600, "3d1h"),
        (30 * 86400, "30d"),
        (800 * 86400, "2y70d"),
        (4000 * 86400, "10y"),
    ],
)
def test_ages_are_short(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


def test_a_pod_shows_why_it_does_not_run() -> None:
    waiting = {"ready": False, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    ended = {"lastState": {"terminated": {"finishedAt": ago(30)}}}
    pod = {
        "spec": {"containers": [{"name": "c"}]},
        "status": {"phase": "Running", "containerStatuses": [{**waiting, **ended}]},
    }
    found = cells("Pod", pod)
    assert (found["Ready"], found["Status"], found["Restarts"]) == ("0/1", "CrashLoopBackOff", "3 (30s ago)")


def test_a_deployment_shows_its_replicas() -> None:
    template = {"spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "x"}}, "template": template}
    found = cells("Deployment", {"spec": spec, "status": {"readyReplicas": 1, "updatedReplicas": 2}})
    assert list(found.values()) == ["x", "1/2", 2, "0", "90s", "c", "i", "app=x"]


def test_a_service_shows_its_ports() -> None:
    found = cells("Service", {"spec": {"ports": [{"port": 80}], "selector": {"app": "x"}}})
    assert list(found.values()) == ["x", "ClusterIP", "<none>", "<none>", "80/TCP", "90s", "app=x"]


def test_an_event_shows_when_and_about_what() -> None:
    about = {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{c}"}
    event = {"involvedObject": about, "lastTimestamp": ago(5), "firstTimestamp": ago(60), "count": 2, "message": "m\n"}
    found = cells("Event", {**event, "source": {"component": "c", "host": "h"}})
    assert (found["Last Seen"], found["First Seen"], found["Object"]) == ("5s", "60s", "pod/p")
    assert (found["Message"], found["Source"], found["Count"]) == ("m", "c, h", 2)


def test_instants_that_are_none_are_unknown() -> None:
    assert cells("ConfigMap", {"metadata": {"name": "x"}})["Age"] == "<unknown>"
    assert cells("ConfigMap", {"metadata": {"name": "x", "creationTimestamp": "soon"}})["Age"] == "<unknown>"


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (".a.b", [1]),
        (".a['b']", [1]),
        (".list[*].n", ["x", "y"]),
        (".list[1].n", ["y"]),
        (".list[-1].n", ["y"]),
        (".list[9].n", []),
        ('.list[?(@.n=="y")].v', [True]),
        (".list[?(@.v==true)].n", ["y"]),
        (r".with\.dot", [2]),
        (".none.below", []),
    ],
)
def test_the_paths_of_columns_find_their_values(path: str, values: list[Any]) -> None:
    obj = {"a": {"b": 1}, "list": [{"n": "x", "v": False}, {"n": "y", "v": True}], "with.dot": 2}
    assert jsonpath.compile(path)(obj) == values


def test_a_path_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(InputError, match="cannot read"):
        jsonpath.compile(".a..b")
