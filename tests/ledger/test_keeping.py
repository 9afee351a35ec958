"""Erasing subjects, dropping months, pins, and who may do what."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ledger.building import NOON, SECOND, Clock, announce, record, send
from tests.ledger.serving import TOKEN, URL, InProcess
from turnout.errors import InputError, NotFound
from turnout.ledger import dropping
from turnout.ledger.api.app import application
from turnout.ledger.api.tokens import Tokens
from turnout.ledger.client import LedgerClient
from turnout.ledger.keeper import Keeper
from turnout.ledger.store import Store

DAY = 86_400 * SECOND


@pytest.mark.parametrize("said", ["ann", hashlib.blake2b(b"ann", digest_size=8).hexdigest()])
def test_all_of_a_subject_is_erased_also_what_is_still_on_its_way(ledger: LedgerClient, said: str) -> None:
    digest = hashlib.blake2b(b"ann", digest_size=8).hexdigest()
    mine = [record(name=f"mine{i}", time_us=NOON + i, subject=digest, caller_id="c") for i in range(40)]
    send(ledger, *mine, record(name="other", subject="bob", time_us=NOON + 50))
    ledger.feedback("mine3", label=7, by="ann")

    assert ledger.erase_subject(said) == 40
    assert ledger.erase_subject(said) == 0
    with pytest.raises(NotFound, match="erased"):
        ledger.prediction("mine3")
    late = record(name="late", time_us=NOON - 5, subject=digest)
    send(ledger, late, log="late-log")
    with pytest.raises(NotFound, match="erased"):
        ledger.prediction("late")
    assert [found["id"] for found in ledger.predictions(endpoint="digits")["predictions"]] == ["other"]
    assert ledger.prediction("other")["inputs"][0]["data"] == [0.0, 1.5]
    rows = ledger.audit(action="erase")["rows"]
    assert rows[0]["data"] == {"predictions": 40, "by": "subject"}
    assert ledger.summary("digits")["predictions"] == 42


def test_nothing_of_an_erased_subject_is_left_in_the_database(ledger: LedgerClient, store: Store) -> None:
    send(ledger, record(name="a", subject="ann", caller_id="secret-call", predicted=["secret-class"]))
    ledger.feedback("a", label="secret-class", comment="secret-word")
    ledger.erase_subject("ann")

    def everything(connection: Any) -> str:
        tables = ("predictions", "contents", "feedback", "caller_feedback", "erasures", "pending", "audit")
        return str([connection.exec_driver_sql(f"SELECT * FROM {table}").all() for table in tables])

    found = store.read(everything).result()
    assert "secret" not in found
    assert "'ann'" not in found


def test_months_go_and_what_is_needed_stays_and_is_named(ledger: LedgerClient, clock: Clock) -> None:
    for days in (100, 70, 40, 0):
        send(ledger, record(name=f"d{days}", time_us=NOON - days * DAY), log=f"log{days}", watermark_us=NOON)
    ledger.feedback("d100", label=7)
    ledger.pin("why", endpoint="digits", since_us=NOON - 71 * DAY, until_us=NOON - 69 * DAY, reason="an auditor asked")
    planned = ledger.retain(before_us=NOON, dry_run=True)
    assert (planned["drop"], planned["dry_run"]) == (["2025-08", "2025-10"], True)
    assert planned["keep"] == [{"month": "2025-09", "reasons": ["why: an auditor asked"]}]
    assert ledger.prediction("d100")["outcome"] == 1.0

    ledger.retain(before_us=NOON)
    for gone in ("d100", "d40"):
        with pytest.raises(NotFound):
            ledger.prediction(gone)
    assert ledger.prediction("d70")["id"] == "d70"
    assert [row["data"] for row in ledger.audit(action="retain")["rows"]] == [
        {"dropped": "2025-08"},
        {"dropped": "2025-10"},
    ]
    assert [(pin["name"], pin["reason"]) for pin in ledger.pins()] == [("why", "an auditor asked")]
    ledger.unpin("why")
    assert ledger.pins() == []
    assert ledger.retain(before_us=NOON)["drop"] == ["2025-09"]
    with pytest.raises(NotFound):
        ledger.unpin("why")


def test_what_no_policy_drops_is_named_too(ledger: LedgerClient) -> None:
    assert set(ledger.retain(before_us=NOON)["always"]) == {"audit", "versions", "erasures", "states"}


def test_the_keeper_drops_what_is_older_than_it_is_told_to_keep(
    ledger: LedgerClient, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    for days in (100, 70, 40, 0):
        send(ledger, record(name=f"d{days}", time_us=NOON - days * DAY), log=f"log{days}", watermark_us=0)
    ledger.pin("why", endpoint="digits", since_us=NOON - 71 * DAY, until_us=NOON - 69 * DAY, reason="an auditor asked")
    keeper = Keeper(store, months=1)
    with caplog.at_level("INFO"):
        assert keeper.step()["drop"] == ["2025-08"]
        assert keeper.step()["drop"] == []
    assert caplog.text.count("kept 2025-09: why: an auditor asked") == 1
    assert [found["id"] for found in ledger.predictions()["predictions"]] == ["d0", "d40", "d70"]
    keeper.start()
    keeper.stop()


def test_a_large_month_goes_in_slices_and_leaves_its_neighbours(
    ledger: LedgerClient, store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dropping, "_SLICE", 7)
    old = [record(name=f"o{i}", time_us=NOON - 40 * DAY + i) for i in range(40)]
    send(ledger, *old, record(name="new"), log="l")
    for name in ("o3", "o9", "new"):
        ledger.feedback(name, label=7)
    clock.now_us = NOON - 40 * DAY
    ledger.feedback("never-came", label=7)
    clock.now_us = NOON
    log = [{"request_id": f"q{i}", "time_us": NOON - 40 * DAY + i, "duration_us": 1, "code": 200} for i in range(9)]
    stamped = [
        one | {"request_id": f"s{one['request_id']}", "stamp": f"v{i % 2};p=0.5;rev=r"} for i, one in enumerate(log)
    ]
    ledger.gateway_log(
        log="g", watermark_us=0, events=[*log, *stamped, log[0] | {"request_id": "new", "time_us": NOON}]
    )
    assert "2025-10" in ledger.retain(before_us=NOON)["drop"]
    assert [found["id"] for found in ledger.predictions()["predictions"]] == ["new"]
    counts = store.read(
        lambda c: [
            c.exec_driver_sql(f"SELECT count(*) FROM {t}").scalar_one()
            for t in ("contents", "feedback", "gateway_requests")
        ]
    ).result()
    assert counts == [1, 1, 1]


def test_an_open_rollout_keeps_its_months(ledger: LedgerClient, clock: Clock) -> None:
    clock.now_us = NOON - 40 * DAY
    announce(ledger, action="start")
    ledger.put_state("digits", if_generation=1, state={"challenges": [{"version": "digits-v2"}]})
    send(ledger, record(name="a", time_us=NOON - 40 * DAY))
    send(ledger, record(name="b", time_us=NOON - 100 * DAY), log="old", watermark_us=NOON)
    clock.now_us = NOON
    report = ledger.retain(before_us=NOON)
    assert report["drop"] == ["2025-08"]
    assert report["keep"] == [{"month": "2025-10", "reasons": ["rollout of default/digits is open"]}]


def test_a_pin_of_a_version_holds_while_that_gets_requests(ledger: LedgerClient) -> None:
    send(ledger, record(name="a", time_us=NOON - 40 * DAY))
    for version in ("digits-v1", "digits-v9"):
        ledger.pin(version, endpoint="digits", version=version, since_us=0, until_us=NOON, reason="its snapshot")
    assert ledger.retain(before_us=NOON, dry_run=True)["keep"] == []
    announce(ledger)
    assert ledger.retain(before_us=NOON, dry_run=True)["keep"][0]["reasons"] == ["digits-v1: its snapshot"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "JSON object"),
        ({"endpoint": "e", "reason": "", "since_us": 0, "until_us": 1}, "reason: wanted text"),
        ({"endpoint": "e", "reason": "r", "since_us": 0}, "since_us, until_us"),
        ({"endpoint": "e", "reason": "r", "since_us": 0, "until_us": 1, "version": 7}, "version: wanted a name"),
    ],
)
def test_a_pin_that_is_none_is_refused(http: httpx.Client, body: Any, message: str) -> None:
    reply = http.put("/v1/pins/x", json=body)
    assert reply.status_code == 400
    assert message in reply.json()["detail"]


@pytest.mark.parametrize("body", [{}, {"before_us": -1}, {"before_us": 1, "dry_run": "yes"}])
def test_retention_needs_a_time(http: httpx.Client, body: Any) -> None:
    assert http.post("/v1/retention", json=body).status_code == 400


def test_the_audit_is_verified_over_http(ledger: LedgerClient, store: Store) -> None:
    announce(ledger)
    assert ledger.verify_audit() == {"rows": 1, "problem": None, "intact": True}
    store.write(lambda connection: connection.exec_driver_sql("UPDATE audit SET actor = 'me'").rowcount).result()
    assert ledger.verify_audit()["problem"] == "row 1 is not what was written"


def tokens(folder: Path, *lines: str, **more: Any) -> Tokens:
    (folder / "tokens").write_text("\n".join(lines))
    return Tokens(TOKEN, file=folder / "tokens", **more)


def sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def test_a_token_may_do_what_its_roles_say(store: Store, tmp_path: Path) -> None:
    known = tokens(tmp_path, "# people", f"ann feedback,read {sha256('anns')}", "", f"log events {sha256('logs')}")
    with InProcess(application(store, tokens=known)) as transport:
        ann, log = (LedgerClient(URL, token, transport=transport) for token in ("anns", "logs"))
        send(log, record(name="a"))
        assert ann.prediction("a")["id"] == "a"
        ann.feedback("a", label=7)
        for refused in (lambda: log.prediction("a"), lambda: ann.erase("a"), lambda: send(ann)):
            with pytest.raises(InputError, match="wants a token with the role"):
                refused()
        with pytest.raises(InputError, match="wanted a token"):
            LedgerClient(URL, "nobodys", transport=transport).prediction("a")


def test_a_token_that_is_added_or_taken_away_needs_no_restart(tmp_path: Path) -> None:
    now_s = [0.0]
    known = tokens(tmp_path, f"ann read {sha256('anns')}", clock_s=lambda: now_s[0])
    assert known.holder("anns") is not None
    (tmp_path / "tokens").write_text(f"bob read {sha256('bobs')} # instead of ann")
    now_s[0] = 2.0
    assert known.holder("bobs") is not None
    assert known.holder("anns") is None


@pytest.mark.parametrize("line", ["ann", "ann read", f"ann king {'0' * 64}", "ann read 123"])
def test_a_line_that_is_no_token_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"tokens:2: wanted `name roles sha256`"):
        tokens(tmp_path, "", line)


def test_a_file_of_tokens_that_is_not_there_yet_holds_none(tmp_path: Path) -> None:
    now_s = [0.0]
    known = Tokens(TOKEN, file=tmp_path / "tokens", clock_s=lambda: now_s[0])
    assert known.holder("anns") is None
    tokens(tmp_path, f"ann read {sha256('anns')}")
    now_s[0] = 2.0
    assert known.holder("anns") is not None


def test_a_file_of_tokens_that_becomes_wrong_leaves_the_tokens_as_they_were(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = [0.0]
    known = tokens(tmp_path, f"ann read {sha256('anns')}", clock_s=lambda: now_s[0])
    (tmp_path / "tokens").write_text("nonsense")
    for now_s[0] in (2.0, 4.0):
        assert known.holder("anns") is not None
    assert caplog.text.count("the tokens stay as they were") == 1


def test_a_file_of_tokens_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--tokens .*: cannot be read"):
        Tokens(TOKEN, file=tmp_path)


def test_who_calls_too_often_is_told_when_to_come_back(store: Store) -> None:
    now_s = [0.0]
    with InProcess(application(store, tokens=Tokens(TOKEN, calls_per_s=2, clock_s=lambda: now_s[0]))) as transport:
        http = httpx.Client(transport=transport, base_url=URL, headers={"authorization": f"Bearer {TOKEN}"})
        assert [http.get("/v1/audit").status_code for _ in range(3)] == [200, 200, 429]
        refused = http.get("/v1/audit")
        assert (refused.headers["retry-after"], refused.json()["status"]) == ("1", 429)
        now_s[0] = 0.6
        assert http.get("/v1/audit").status_code == 200
