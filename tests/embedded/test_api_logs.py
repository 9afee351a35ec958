from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.apiserver import CORE, Api, opened


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with opened(tmp_path) as api:
        yield api


LOG = f"{CORE}/pods/p/log"


@pytest.fixture
def pod(api: Api) -> Api:
    spec = {"containers": [{"name": "kserve-container"}], "initContainers": [{"name": "storage-initializer"}]}
    api.store.create("Pod", {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
    return api


def test_the_whole_log_is_plain_text(pod: Api) -> None:
    answer = pod.get(LOG)
    assert (answer.text, answer.headers["content-type"]) == ("one\ntwo\nthree\n", "text/plain")


def test_the_last_lines_can_be_asked_for_and_followed(pod: Api) -> None:
    assert pod.get(LOG, tailLines=1, follow="true", container="kserve-container").text == "three\nand on\n"


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        (f"{CORE}/pods/none/log", {}, 404),
        (LOG, {"container": "other"}, 400),
        (LOG, {"tailLines": "many"}, 400),
        (LOG, {"limitBytes": "-1"}, 400),
        (LOG, {"sinceTime": "yesterday"}, 400),
        (LOG, {"sinceTime": "2026-01-01T00:00:00Z", "sinceSeconds": "1"}, 400),
        (LOG, {"previous": "true"}, 400),
    ],
)
def test_logs_that_are_not_there_are_refused(pod: Api, path: str, query: dict[str, str], code: int) -> None:
    assert pod.get(path, **query).status_code == code


def test_a_limit_in_bytes_cuts_the_log(pod: Api) -> None:
    assert pod.get(LOG, limitBytes=5).text == "one\nt"


def test_a_container_that_waits_for_its_first_start_has_no_log(api: Api) -> None:
    waiting = {"name": "c", "restartCount": 0, "state": {"waiting": {"reason": "NoCommand"}}}
    pod = {"metadata": {"name": "p", "namespace": "default"}, "status": {"containerStatuses": [waiting]}}
    api.store.create("Pod", {**pod, "spec": {"containers": [{"name": "c"}]}})
    refused = api.get(LOG)
    assert (refused.status_code, refused.json()["message"]) == (
        400,
        'container "c" in pod "p" is waiting to start: NoCommand',
    )
