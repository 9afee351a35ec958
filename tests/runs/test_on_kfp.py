"""What talks to Kubeflow Pipelines, against what a real 2.17 answered (data/kfp-exchanges.jsonl)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from turnout import storage
from turnout.errors import Conflict, InputError, NotFound, SpecError, Unavailable
from turnout.runs import on_kfp
from turnout.runs.execution import Progress
from turnout.runs.kfp_api import Kfp, PipelineVersion
from turnout.runs.on_kfp import Cluster
from turnout.runs.records import RunRecord

DATA = Path(__file__).parent / "data"
RECORDED = [json.loads(line) for line in (DATA / "kfp-exchanges.jsonl").read_text().splitlines()]
ROWS = (DATA / "kfp-rows.yaml").read_text()
GOOD, BAD = "f458a2ad-8eac-446a-b505-07a2979efa9d", "5f00ab64-1536-44aa-ad89-c8bc0b6b81c9"
VERSION = PipelineVersion("d790bd20-a2b2-4df0-961f-308fb7a0c4f6", "22f38eb6-9afc-4778-8bc6-1507cb8511f1")
TRACEBACK = "time=... level=info\nTraceback (most recent call last):\n  File x\nValueError: 5 rows, wanted 9\n"

Answer = Callable[[httpx.Request], httpx.Response]


class Server:
    """Replays answers: for a method and the beginning of a path, one after the other, the last again and again."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self._answers: dict[tuple[str, str], list[tuple[int, Any]]] = {}

    def replay(self, *numbers: int) -> Server:
        for exchange in (RECORDED[number - 1] for number in numbers):
            request, response = exchange["request"], exchange["response"]
            self.say(request["method"], request["path"].partition("?")[0], response["body"], status=response["status"])
        return self

    def say(self, method: str, path: str, body: Any, *, status: int = 200) -> Server:
        self._answers.setdefault((method, path), []).append((status, body))
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answers = self._answers.get((request.method, request.url.path))
        assert answers, f"nobody expected {request.method} {request.url.path}"
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        return httpx.Response(status, text=body) if isinstance(body, str) else httpx.Response(status, json=body)

    @property
    def kfp(self) -> Kfp:
        return Kfp("http://kfp.localhost", transport=httpx.MockTransport(self))

    def bodies(self, path: str) -> list[Any]:
        return [json.loads(request.content) for request in self.asked if request.url.path == path]


class Objects:
    """A cluster with the InferenceServices of a namespace."""

    def __init__(self, *services: dict[str, Any]) -> None:
        self.services = services

    def list(self, kind: str, *, namespace: str) -> list[dict[str, Any]]:
        return list(self.services)


def served(run: str) -> dict[str, Any]:
    notes = {"turnout.dev/run": run, "turnout.dev/digest": "sha256:1", "turnout.dev/snapshot": "snap-1"}
    return {"metadata": {"name": "rows-v1", "annotations": notes}}


def record(folder: Path, kfp: str) -> RunRecord:
    return RunRecord("rows-1", str(folder), "rows", "accuracy", 1, parameters={"kfp": kfp})


def cluster(server: Server, *services: dict[str, Any], artifacts: str = "", image: str = "") -> Cluster:
    return Cluster(Objects(*services), server.kfp, artifacts, image)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _steps_of_the_recorded_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_kfp, "_names", lambda: frozenset({"make", "count"}))


def test_a_new_pipeline_is_uploaded_with_a_version_named_by_its_content() -> None:
    server = Server().replay(6, 3, 9, 7)
    assert server.kfp.upload("rows", ROWS) == VERSION
    name = next(request.url.params["name"] for request in server.asked if "upload_version" in request.url.path)
    assert len(name) == 16
    assert name != "v2"


def test_a_version_that_is_there_is_not_uploaded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server().replay(5, 9)
    known = RECORDED[8]["response"]["body"]["pipeline_versions"][0]["display_name"]
    monkeypatch.setattr("turnout.runs.kfp_api.hashlib.sha256", lambda _: Digest(known))
    found = server.kfp.upload("rows", ROWS)
    assert found.pipeline == VERSION.pipeline
    assert all(request.method == "GET" for request in server.asked)


class Digest:
    def __init__(self, text: str) -> None:
        self.text = text

    def hexdigest(self) -> str:
        return self.text


def test_two_that_upload_at_once_both_get_a_pipeline() -> None:
    server = Server().replay(6, 5, 4, 9, 7)
    assert server.kfp.upload("rows", ROWS) == VERSION


def test_a_name_that_stays_taken_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="Failed to create a pipeline version"):
        Server().replay(5, 9, 8).kfp.upload("rows", ROWS)


@pytest.mark.parametrize("text", ["a: [", '{"x": 1', "\tx: 1", "%PDF-1.7", "hello", "", "a: 1"])
def test_what_would_hang_the_server_is_not_sent(text: str) -> None:
    server = Server()
    with pytest.raises(InputError):
        server.kfp.upload("rows", text)
    assert server.asked == []


def test_a_run_is_started_as_the_account_that_may_deploy() -> None:
    server = Server().replay(10, 11, 13)
    assert server.kfp.start(VERSION, name="rows-good", parameters={"n": 5}) == GOOD
    recorded = dict(RECORDED[12]["request"]["body"])
    (sent,) = server.bodies("/apis/v2beta1/runs")
    assert sent == recorded


def test_the_servers_inner_message_is_the_error() -> None:
    server = Server().replay(12, 15)
    with pytest.raises(InputError, match=r"^Kubeflow Pipelines: parameter\(s\) provided are not required.*zzz"):
        server.kfp.start(VERSION, name="x", parameters={"zzz": 1})


def test_a_version_that_is_gone_is_not_found_though_the_server_says_500() -> None:
    with pytest.raises(NotFound, match=r"PipelineVersion 0{8}.* not found"):
        Server().replay(12, 16).kfp.start(VERSION, name="x", parameters={})


def test_a_run_that_is_unknown_is_not_found() -> None:
    with pytest.raises(NotFound, match=r"Run 0{8}"):
        Server().replay(40).kfp.run("00000000-0000-0000-0000-000000000000")


def test_a_run_is_followed_to_its_end_with_the_same_progress_as_here(tmp_path: Path) -> None:
    server, told = Server().replay(17, 18, 19, 20, 21, 22, 23), list[Progress]()
    found = on_kfp.follow(
        record(tmp_path, GOOD),
        cluster=cluster(server, served("rows-1")),
        namespace="default",
        progress=told.append,
        poll_s=0.0,
    )
    assert (found.state, [step.name for step in found.steps]) == ("Succeeded", ["make", "count"])
    events = [(event.step, event.state) for event in told]
    assert events == [("make", "Running"), ("make", "Succeeded"), ("count", "Running"), ("count", "Succeeded")]
    assert told[-1].seconds == 13.0
    assert json.loads((tmp_path / "record.json").read_bytes())["state"] == "Succeeded"


def test_a_run_without_a_version_was_refused_by_the_gate(tmp_path: Path) -> None:
    found = on_kfp.follow(
        record(tmp_path, GOOD),
        cluster=cluster(Server().replay(23), served("another")),
        namespace="default",
        poll_s=0.0,
    )
    assert found.state == "Refused"


def test_a_failing_step_tells_its_own_traceback(tmp_path: Path) -> None:
    log = f"/apis/v1alpha1/runs/{BAD}/nodes/rows-dwsms-266108301/log"
    server = Server().replay(24).say("GET", log, TRACEBACK)
    found = on_kfp.follow(record(tmp_path, BAD), cluster=cluster(server), namespace="default", poll_s=0.0)
    assert found.failure is not None
    step, sentence, file = found.failure
    assert (step, sentence) == ("count", "ValueError: 5 rows, wanted 9")
    assert file.read_text() == TRACEBACK


def test_a_failing_step_whose_log_is_gone_is_named_all_the_same(tmp_path: Path) -> None:
    log = f"/apis/v1alpha1/runs/{BAD}/nodes/rows-dwsms-266108301/log"
    server = Server().replay(24).say("GET", log, {"message": "no log"}, status=404)
    found = on_kfp.follow(record(tmp_path, BAD), cluster=cluster(server), namespace="default", poll_s=0.0)
    assert found.failure is not None
    assert found.failure[0] == "count"
    assert "log could not be read" in found.failure[1]


def test_a_server_that_is_away_for_a_while_loses_no_run(tmp_path: Path) -> None:
    path = f"/apis/v2beta1/runs/{GOOD}"
    server = Server().say("GET", path, {}, status=503).replay(23)
    found = on_kfp.follow(
        record(tmp_path, GOOD), cluster=cluster(server, served("rows-1")), namespace="default", poll_s=0.0
    )
    assert found.state == "Succeeded"


def test_nobody_who_answers_is_said_with_the_address() -> None:
    with pytest.raises(Unavailable, match=r"no Kubeflow Pipelines answers at http://127\.0\.0\.1:1"):
        Kfp("http://127.0.0.1:1").run(GOOD)


def test_a_schedule_is_made_as_the_server_wants_it() -> None:
    server = Server().replay(12, 34, 38)
    made = server.kfp.schedule(VERSION, name="rows-nightly", cron="0 0 2 * * *", parameters={"n": 4})
    (sent,) = server.bodies("/apis/v2beta1/recurringruns")
    assert RECORDED[33]["request"]["body"].items() <= sent.items()
    server.kfp.unschedule(made)


@pytest.mark.parametrize("cron", ["* * * * *", "every night", ""])
def test_a_cron_without_six_fields_is_refused_before_it_means_every_second(cron: str) -> None:
    server = Server()
    with pytest.raises(InputError, match="wanted six fields, seconds first"):
        server.kfp.schedule(VERSION, name="x", cron=cron, parameters={})
    assert server.asked == []


def test_the_pipeline_is_the_laptops_but_for_the_image() -> None:
    here, there = on_kfp.pipeline(""), on_kfp.pipeline("registry.example.com/pipeline:7")
    assert there != here
    ours = next(iter(yaml.safe_load_all(here)))["deploymentSpec"]["executors"]["exec-train"]["container"]["image"]
    assert there.replace("registry.example.com/pipeline:7", ours) == here


def test_local_sources_go_into_the_store_under_their_content(tmp_path: Path) -> None:
    table, store = tmp_path / "rows.csv", (tmp_path / "store").as_uri()
    table.write_text("id,x\n1,2\n")
    first = on_kfp._uploaded(str(table), to=store)
    assert storage.at(first).read_bytes() == table.read_bytes()
    assert on_kfp._uploaded(str(table), to=store) == first
    table.write_text("id,x\n1,3\n")
    assert on_kfp._uploaded(str(table), to=store) != first
    folder = on_kfp._uploaded(str(tmp_path), to=store)
    assert storage.at(storage.join(folder, "rows.csv")).read_bytes() == table.read_bytes()
    with pytest.raises(InputError, match="no such file"):
        on_kfp._uploaded(str(tmp_path / "none.csv"), to=store)


def test_a_wrong_spec_reaches_no_server(tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text("name: x\n")
    server = Server()
    with pytest.raises(SpecError):
        on_kfp.execute(tmp_path / "model.yaml", cluster=cluster(server))
    assert server.asked == []


def test_a_schedule_over_a_file_of_this_machine_is_refused() -> None:
    spec = Path(__file__).parents[2] / "examples" / "digits" / "naive-bayes.yaml"
    server = Server()
    with pytest.raises(InputError, match="reads its sources anew"):
        on_kfp.schedule(spec, cluster=cluster(server), cron="0 0 2 * * *", namespace="default", data_root=None)
    assert server.asked == []
