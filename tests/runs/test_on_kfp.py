"""What talks to Kubeflow Pipelines, against what a real 2.17 answered (data/kfp-exchanges.jsonl)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from turnout import results, storage
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
        if answers is None and request.url.path.endswith("/log"):
            return httpx.Response(200, text=f"words of {request.url.path.split('/')[-2]}\n")
        assert answers, f"nobody expected {request.method} {request.url.path}"
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        return httpx.Response(status, text=body) if isinstance(body, str) else httpx.Response(status, json=body)

    @property
    def kfp(self) -> Kfp:
        return Kfp("http://kfp.localhost", transport=httpx.MockTransport(self))

    def bodies(self, path: str) -> list[Any]:
        return [json.loads(request.content) for request in self.asked if request.url.path == path]


def left(store: str, run: str = "rows-1", *, passed: bool = True, version: str = "rows-v1") -> str:
    """What the steps of a run leave, under the names that the recorded pipeline's two steps have."""
    reason = "accuracy 0.91 against a minimum of 0.9" if passed else "accuracy 0.81 is below the minimum 0.9"
    page = Path(storage.at(store).path, "page.html")  # type: ignore[attr-defined]
    page.parent.mkdir(exist_ok=True)
    page.write_text("<p>report</p>")
    results.leave(
        "evaluate",
        run=run,
        artifacts_url=store,
        outputs={"Output": passed, "reason": reason},
        artifacts={"best": {"candidate": "forest", "cv_score": 0.9, "test_score": 0.91}, "metrics": {"accuracy": 0.91}},
        report=page,
    )
    if passed:
        results.leave("register", run=run, artifacts_url=store, outputs={"version": version, "digest": "sha256:1"})
    return store


def record(folder: Path, kfp: str) -> RunRecord:
    return RunRecord("rows-1", str(folder), "rows", "accuracy", 1, parameters={"kfp": kfp})


def cluster(server: Server, artifacts: str = "file:///nowhere") -> Cluster:
    return Cluster(server.kfp, artifacts, "turnout-pipeline:1")


def named(exchange: int, make: str, count: str) -> Any:
    """A recorded answer about a run, its two steps under other names."""
    text = json.dumps(RECORDED[exchange - 1]["response"]["body"])
    return json.loads(
        text.replace('"display_name": "make"', f'"display_name": "{make}"').replace(
            '"display_name": "count"', f'"display_name": "{count}"'
        )
    )


@pytest.fixture(autouse=True)
def _steps_of_the_recorded_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_kfp, "_names", lambda: frozenset({"make", "count", "evaluate", "register"}))


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
    found = on_kfp.follow(record(tmp_path, GOOD), cluster=cluster(server), progress=told.append, poll_s=0.0)
    assert [step.name for step in found.steps] == ["make", "count"]
    events = [(event.step, event.state) for event in told]
    assert events == [("make", "Running"), ("make", "Succeeded"), ("count", "Running"), ("count", "Succeeded")]
    assert told[-1].seconds == 13.0
    assert found.log_of("make").read_text().startswith("words of rows-")
    assert found.log_of("make").read_text() != found.log_of("count").read_text()
    assert json.loads((tmp_path / "record.json").read_bytes())["finished_us"] == found.finished_us


def test_scores_reason_and_version_are_those_that_the_steps_left(tmp_path: Path) -> None:
    server = Server().say("GET", f"/apis/v2beta1/runs/{GOOD}", named(23, "evaluate", "register"))
    store = left((tmp_path / "store").as_uri())
    found = on_kfp.follow(record(tmp_path, GOOD), cluster=cluster(server, store), poll_s=0.0)
    assert (found.state, found.version) == ("Succeeded", "rows-v1")
    assert found.outcome == "rows-v1 is a challenger of rows: accuracy 0.91 against a minimum of 0.9"
    facts = found.facts()
    assert (facts["candidate"], facts["cv_score"], facts["test_score"]) == ("forest", 0.9, 0.91)
    assert found.report is not None
    assert found.report.read_text() == "<p>report</p>"
    assert json.loads((tmp_path / "record.json").read_bytes())["steps"][0]["artifacts"]["metrics"]["metadata"]


def test_a_run_that_the_gate_stopped_says_why_in_the_gates_words(tmp_path: Path) -> None:
    server = Server().say("GET", f"/apis/v2beta1/runs/{GOOD}", named(23, "make", "evaluate"))
    store = left((tmp_path / "store").as_uri(), passed=False)
    found = on_kfp.follow(record(tmp_path, GOOD), cluster=cluster(server, store), poll_s=0.0)
    assert (found.state, found.version) == ("Refused", None)
    assert found.outcome == "the gate stopped it: accuracy 0.81 is below the minimum 0.9"


def test_a_run_that_left_nothing_is_no_success(tmp_path: Path) -> None:
    store = left((tmp_path / "store").as_uri(), "another")
    found = on_kfp.follow(record(tmp_path, GOOD), cluster=cluster(Server().replay(23), store), poll_s=0.0)
    assert found.failure is not None
    assert "evaluate left no result" in found.failure[1]
    assert "turnout-pipeline:1" in found.failure[1]


def test_results_that_cannot_be_read_hide_nothing_of_how_the_run_ended(tmp_path: Path) -> None:
    for run, words in ((GOOD, "says SUCCEEDED, but what the steps left could not be read"), (BAD, "words of rows-")):
        server = Server().replay(23 if run == GOOD else 24)
        found = on_kfp.follow(record(tmp_path, run), cluster=cluster(server, "ftp://nowhere"), poll_s=0.0)
        assert found.failure is not None
        assert words in found.failure[1]


def test_a_failing_step_tells_its_own_traceback(tmp_path: Path) -> None:
    log = f"/apis/v1alpha1/runs/{BAD}/nodes/rows-dwsms-266108301/log"
    server = Server().replay(24).say("GET", log, TRACEBACK)
    found = on_kfp.follow(record(tmp_path, BAD), cluster=cluster(server), poll_s=0.0)
    assert found.failure is not None
    step, sentence, file = found.failure
    assert (step, sentence) == ("count", "ValueError: 5 rows, wanted 9")
    assert file.read_text() == TRACEBACK


def test_a_failing_step_whose_log_is_gone_is_named_all_the_same(tmp_path: Path) -> None:
    log = f"/apis/v1alpha1/runs/{BAD}/nodes/rows-dwsms-266108301/log"
    server = Server().replay(24).say("GET", log, {"message": "no log"}, status=404)
    found = on_kfp.follow(record(tmp_path, BAD), cluster=cluster(server), poll_s=0.0)
    assert found.failure is not None
    assert found.failure[0] == "count"
    assert "log could not be read" in found.failure[1]


def test_a_server_that_is_away_for_a_while_loses_no_run(tmp_path: Path) -> None:
    path = f"/apis/v2beta1/runs/{GOOD}"
    server = Server().say("GET", path, {}, status=503).replay(23)
    found = on_kfp.follow(record(tmp_path, GOOD), cluster=cluster(server), poll_s=0.0)
    assert {step.state for step in found.steps} == {"Succeeded"}


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
