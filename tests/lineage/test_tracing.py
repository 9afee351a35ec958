"""`turnout trace`, `live` and `audit` over a real ledger: what is known, what is not, what does not fit together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.ledger.building import NOON, SECOND, WEIGHTS, Clock, record, send
from tests.ledger.serving import TOKEN, URL, InProcess
from tests.steps.objects import Objects, service
from turnout.cli.app import app
from turnout.errors import Unavailable
from turnout.kube import client, discovery
from turnout.kube.discovery import Addresses
from turnout.ledger import client as ledgers
from turnout.ledger.api.app import application
from turnout.ledger.client import LedgerClient
from turnout.ledger.store import Store
from turnout.steps import provenance
from turnout.steps.provenance import Environment, Provenance
from turnout.steps.snapshots import Snapshot, SourceFile

ORIGIN = Provenance(
    version="digits-v1",
    digest="sha256:abc",
    registered_us=NOON - 60 * SECOND,
    inputs="sha256:inputs",
    run="run-1",
    job="job-7",
    mlflow_run="mlflow-1",
    commit="c0ffee",
    image="ghcr.io/turnout-dev/pipeline:0.1.0",
    spec="name: digits",
    snapshot=Snapshot(
        id="snap-1",
        digest="sha256:content",
        rows=1350,
        columns={"p00": "float", "digit": "int"},
        keys=("id",),
        label="digit",
        sources=(SourceFile("pixels", "/data/pixels.csv", "cd" * 32, 1350, 0),),
        quarantined=0,
    ),
    environment=Environment("3.11.7", "x86_64", ("numpy==2.1.0",), "0.1.0", "sha256:code"),
    steps={"evaluate": {"candidate": "forest"}},
)


@dataclass(frozen=True)
class Town:
    """A ledger, an artifact store and a cluster, and a person with the command line."""

    folder: Path
    ledger: LedgerClient
    kube: Objects
    clock: Clock

    def keep(self, origin: Provenance) -> None:
        provenance.write(origin, artifacts_url=(self.folder / "artifacts").as_uri())

    def decide(self, rev: str, action: str, *, version: str = "digits-v1") -> None:
        """A decision and its weights, ten seconds after the one before."""
        self.clock.advance(10)
        rows = [
            {"action": action, "actor": "controller", "data": {"version": version, "sentence": f"{action} {version}"}},
            {"action": "weights", "actor": "controller", "data": {"rev": rev, "weights": WEIGHTS, "champion": version}},
        ]
        generation = self.ledger.state("digits")["generation"]
        self.ledger.put_state("digits", if_generation=generation, state={}, audit=rows)

    @staticmethod
    def say(*words: str) -> Result:
        return CliRunner().invoke(app, list(words))


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    clock, kube = Clock(), Objects()
    store = Store(f"sqlite:///{tmp_path / 'ledger.db'}", clock_us=clock)
    addresses = Addresses(
        gateway_url="http://127.0.0.1:9",
        domain="localhost",
        ledger_url=URL,
        ledger_token=TOKEN,
        mlflow_uri=f"sqlite:///{tmp_path}/mlflow.db",
        artifacts_url=(tmp_path / "artifacts").as_uri(),
    )
    with InProcess(application(store, token=TOKEN)) as transport:
        ledger = LedgerClient(URL, TOKEN, transport=transport)
        monkeypatch.setattr(client, "connect", lambda: kube)
        monkeypatch.setattr(discovery, "discover", lambda _: addresses)
        monkeypatch.setattr(discovery, "object_store", lambda _: {})
        monkeypatch.setattr("turnout.lineage.connecting.LedgerClient", lambda *_: ledger)
        yield Town(tmp_path, ledger, kube, clock)
    store.close()


def _predicted(town: Town, *, origin: Provenance | None = ORIGIN) -> None:
    if origin is not None:
        town.keep(origin)
    town.decide("r1", "adopt")
    town.decide("r2", "step")
    send(town.ledger, record(name="p1", rev="r2", time_us=NOON + 25 * SECOND))


def test_a_trace_leads_to_the_sources_and_every_decision(town: Town) -> None:
    _predicted(town)
    done = town.say("trace", "p1", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["version"], found["rev"], found["share"]) == ("digits-v1", "r2", 0.5)
    assert [row["action"] for row in found["decisions"]] == ["adopt", "step", "weights"]
    origin = found["origin"]
    assert (origin["digest"], origin["run"], origin["job"], origin["mlflow_run"]) == (
        "sha256:abc",
        "run-1",
        "job-7",
        "mlflow-1",
    )
    assert (origin["snapshot"], origin["snapshot_digest"], origin["rows"]) == ("snap-1", "sha256:content", 1350)
    assert [source["path"] for source in origin["sources"]] == ["/data/pixels.csv"]
    assert (origin["commit"], origin["image"]) == ("c0ffee", "ghcr.io/turnout-dev/pipeline:0.1.0")
    assert found["remarks"] == []


def test_a_trace_is_a_table_events_or_a_picture(town: Town) -> None:
    _predicted(town)
    table = town.say("trace", "p1").stdout
    for part in ("p1", "adopt", "sha256:abc", "run-1", "mlflow-1", "1350 rows", "/data/pixels.csv", "c0ffee"):
        assert part in table
    events = [json.loads(line) for line in town.say("trace", "p1", "--openlineage").stdout.splitlines()]
    assert [event["eventType"] for event in events] == ["COMPLETE"] * 3
    picture = town.folder / "trace.svg"
    assert town.say("trace", "p1", "--svg", str(picture)).exit_code == 0
    assert picture.read_text().startswith("<svg")


def test_an_artifact_that_is_served_but_was_not_registered_is_remarked(town: Town) -> None:
    _predicted(town)
    town.kube.apply(service("digits-v1", uri="file:///x", digest="sha256:other"))
    remarks = json.loads(town.say("trace", "p1", "--json").stdout)["remarks"]
    assert remarks == ["the InferenceService serves artifact sha256:other, which is not the registered one"]


def test_a_version_that_was_not_reproducible_says_so(town: Town) -> None:
    _predicted(town, origin=replace(ORIGIN, mismatch="digits-v0 has the same inputs and another artifact"))
    assert "not reproducible: digits-v0 has the same inputs" in town.say("trace", "p1").stdout


def test_a_version_that_no_pipeline_registered_has_gaps_and_a_remark(town: Town) -> None:
    _predicted(town, origin=None)
    town.kube.apply(service("digits-v1", uri="file:///x", digest="sha256:abc"))
    done = town.say("trace", "p1", "--json")
    found = json.loads(done.stdout)
    assert (found["origin"]["digest"], found["origin"]["run"]) == ("sha256:abc", "")
    assert "digits-v1: no pipeline registered it" in found["remarks"][0]
    assert "unknown" in town.say("trace", "p1").stdout


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["trace", "nobody"], 1, "there is no prediction nobody"),
        (["trace", "p1", "--json", "--openlineage"], 2, "one of --json and --openlineage"),
        (["trace", "p1", "--svg", "no/such/folder/x.svg"], 2, "cannot be written"),
        (["live", "--at", "yesterday"], 2, "a time such as 2026-11-20T14:00"),
        (["live", "--at", "1950-01-01T00:00"], 2, "a time after 1970"),
        (["live", "--timezone", "Mars/Olympus"], 2, "a time zone such as UTC or Europe/Berlin"),
        (["live", "--at", "2026-03-29T02:30", "--timezone", "Europe/Berlin"], 2, "was skipped when clocks changed"),
        (["live", "--at", "2026-10-25T02:30", "--timezone", "Europe/Berlin"], 2, "was shown twice"),
    ],
)
def test_wrong_words_are_named(town: Town, words: list[str], code: int, problem: str) -> None:
    _predicted(town)
    done = town.say(*words)
    assert done.exit_code == code
    assert problem in " ".join(done.stderr.split())


def test_an_erased_prediction_cannot_be_traced(town: Town) -> None:
    _predicted(town)
    town.ledger.erase("p1")
    done = town.say("trace", "p1")
    assert done.exit_code == 1
    assert "has been erased" in done.stderr


def test_a_ledger_that_is_away_is_named(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    away = ledgers.LedgerClient("http://127.0.0.1:9", TOKEN)
    monkeypatch.setattr("turnout.lineage.connecting.LedgerClient", lambda *_: away)
    for words in (["trace", "p1"], ["live"], ["audit"], ["audit", "verify"]):
        done = town.say(*words)
        assert done.exit_code == Unavailable.exit_code
        assert "no ledger answers at http://127.0.0.1:9" in done.stderr


def test_live_answers_for_now_and_for_any_time(town: Town) -> None:
    town.decide("r1", "adopt")
    town.decide("r2", "promote", version="digits-v2")
    now = json.loads(town.say("live", "--json").stdout)
    assert {row["version"]: (row["share"], row["role"]) for row in now["live"]} == {
        "digits-v1": ("50%", ""),
        "digits-v2": ("50%", "champion"),
    }
    # NOON is 2025-11-21T10:00:00Z; the two decisions came 10 and 20 seconds after it.
    then = json.loads(town.say("live", "digits", "--at", "2025-11-21T10:00:15", "--json").stdout)
    assert (then["at"], {row["rev"] for row in then["live"]}) == ("2025-11-21T10:00:15Z", {"r1"})
    assert then["live"][0]["until"] == "2025-11-21T10:00:20Z"


@pytest.mark.parametrize(
    "words",
    [
        ["--at", "2025-11-21T10:00:15Z"],
        ["--at", "2025-11-21T11:00:15+01:00"],
        ["--at", "2025-11-21T11:00:15", "--timezone", "Europe/Berlin"],
    ],
)
def test_one_moment_has_one_answer_however_it_is_written(town: Town, words: list[str]) -> None:
    town.decide("r1", "adopt")
    town.decide("r2", "promote")
    found = json.loads(town.say("live", *words, "--json").stdout)
    assert (found["at_us"], found["live"][0]["rev"]) == (NOON + 15 * SECOND, "r1")


def test_times_are_printed_with_their_offset(town: Town) -> None:
    town.decide("r1", "adopt")
    assert "live at 2025-11-21T10:00:10Z" in town.say("live").stdout
    assert "live at 2025-11-21T11:00:10+01:00" in town.say("live", "--timezone", "Europe/Berlin").stdout


def test_what_was_never_live_and_what_is_to_come_are_said(town: Town) -> None:
    assert "no version of digits was live at 2025-11-21T10:00:00Z" in town.say("live", "digits").stdout
    town.decide("r1", "adopt")
    assert "has not come yet; this is what holds now" in town.say("live", "--at", "2060-01-01T00:00").stdout


def test_the_audit_is_shown_and_checked(town: Town) -> None:
    town.decide("r1", "adopt")
    town.decide("r2", "promote", version="digits-v2")
    shown = town.say("audit", "--endpoint", "digits", "--last", "2").stdout
    assert "promote digits-v2" in shown
    assert "adopt digits-v1" not in shown
    assert len(json.loads(town.say("audit", "--action", "weights", "--json").stdout)) == 2
    checked = town.say("audit", "verify", "--json")
    assert (checked.exit_code, json.loads(checked.stdout)["rows"]) == (0, 4)
    assert "4 rows, each as it was written" in town.say("audit", "verify").stdout


def test_an_audit_that_was_edited_ends_with_1(town: Town) -> None:
    import sqlite3

    town.decide("r1", "adopt")
    with sqlite3.connect(town.folder / "ledger.db") as database:
        database.execute("update audit set actor = 'somebody' where seq = 1")
    done = town.say("audit", "verify")
    assert done.exit_code == 1
    assert "row 1 is not what was written (0 rows before it are)" in " ".join(done.stderr.split())
