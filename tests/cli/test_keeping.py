"""`turnout ledger` and `turnout feedback --file`, on a ledger in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.ledger.building import NOON, SECOND, announce, record, send
from tests.ledger.serving import TOKEN, URL, InProcess
from turnout.cli.app import app
from turnout.errors import NotFound
from turnout.ledger.api.app import application
from turnout.ledger.api.tokens import Tokens
from turnout.ledger.client import LedgerClient
from turnout.ledger.store import Store
from turnout.lineage import telling

MONTH = 31 * 86_400 * SECOND


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LedgerClient]:
    store = Store(f"sqlite:///{tmp_path / 'ledger.db'}", clock_us=lambda: NOON)
    with InProcess(application(store, token=TOKEN)) as transport:
        client = LedgerClient(URL, TOKEN, transport=transport)
        for module in ("keeping", "serving"):
            monkeypatch.setattr(f"turnout.cli.{module}._ledger", lambda: client)
        yield client
    store.close()


def call(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_a_file_of_labels_is_sent_and_each_refused_row_is_named(ledger: LedgerClient, tmp_path: Path) -> None:
    send(ledger, record(name="a"), record(name="b", time_us=NOON + 1))
    file = tmp_path / "labels.csv"
    file.write_text("id,label\na,7\nb,6\nlater,7\n???,7\n")
    done = call("feedback", "--file", str(file))
    assert (done.exit_code, done.stdout) == (1, "2 taken, 1 waiting for their predictions, 1 refused\n")
    assert "row 4 (None): id: '???' cannot be the id of a prediction" in done.stderr
    assert "1 of 4 rows were refused; the others are kept" in done.stderr

    rows = tmp_path / "labels.ndjson"
    rows.write_text('{"id": "b", "label": 7}\n')
    assert call("feedback", "--file", str(rows)).exit_code == 1
    assert call("feedback", "--file", str(rows), "--correct").exit_code == 0
    assert ledger.prediction("b")["outcome"] == 1.0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--file", "nowhere.csv"], "--file nowhere.csv: No such file"),
        (["abc", "--file", "x.csv"], "--file stands alone"),
        ([], "a prediction or --file was wanted"),
    ],
)
def test_feedback_that_says_too_much_or_too_little_is_refused(
    ledger: LedgerClient, words: list[str], message: str
) -> None:
    done = call("feedback", *words)
    assert done.exit_code == 2
    assert message in done.stderr


def test_erasing_says_what_became_of_it(ledger: LedgerClient) -> None:
    send(ledger, record(name="a"), record(name="b", subject="ann", time_us=NOON + 1))
    assert call("ledger", "erase", "a").stdout == "erased a\n"
    assert "should it still come" in call("ledger", "erase", "later").stdout
    assert call("ledger", "erase", "--subject", "ann").stdout.startswith("erased 1 predictions")
    assert call("ledger", "erase").exit_code == 2
    for name in ("a", "b"):
        with pytest.raises(NotFound, match="erased"):
            ledger.prediction(name)


def test_old_months_go_and_pins_keep_them(ledger: LedgerClient) -> None:
    send(ledger, record(name="a", time_us=NOON - 3 * MONTH), log="old")
    pinned = ["--endpoint", "digits", "--since", "2025-08-01T00:00Z", "--until", "2025-08-31T00:00Z"]
    assert call("ledger", "pin", "why", *pinned, "--reason", "an auditor asked").exit_code == 0
    kept = json.loads(call("ledger", "retain", "--before", "2025-11", "--json").stdout)
    assert kept["keep"] == [{"month": "2025-08", "reasons": ["why: an auditor asked"]}]
    assert json.loads(call("ledger", "pins", "--json").stdout)[0]["since"] == "2025-08-01T00:00:00Z"
    assert call("ledger", "unpin", "why").exit_code == 0
    assert call("ledger", "unpin", "why").exit_code == 1
    assert "would go" in call("ledger", "retain", "--before", "2025-11", "--dry-run").stdout
    assert "dropped" in call("ledger", "retain", "--before", "2025-11").stdout
    assert ledger.predictions()["predictions"] == []


@pytest.mark.parametrize(
    "words",
    [
        ["ledger", "retain", "--before", "soon"],
        ["ledger", "pin", "x", "--endpoint", "e", "--reason", "r", "--since", "2025-08-01", "--until", "2025-09-01"],
        ["ledger", "token", "ann", "--roles", "king"],
        ["ledger", "token", "ann", "--roles", "read", "--file", "/nowhere/tokens"],
    ],
)
def test_wrong_words_end_with_2(ledger: LedgerClient, words: list[str]) -> None:
    assert call(*words).exit_code == 2


def test_a_token_is_printed_once_and_kept_as_its_digest(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    made = call("ledger", "token", "ann", "--roles", "read,feedback", "--file", str(file)).stdout.strip()
    assert made not in file.read_text()
    holder = Tokens(TOKEN, file=file).holder(made)
    assert holder is not None
    assert (holder.name, holder.roles) == ("ann", {"read", "feedback"})
    assert (
        "the line for the server's file of tokens: ann read "
        in call("ledger", "token", "ann", "--roles", "read").stderr
    )


def test_what_is_watched_is_told_in_a_line_each(ledger: LedgerClient) -> None:
    announce(ledger)
    (row,) = ledger.audit()["rows"]
    head = {"id": "a", "time_us": NOON, "version": "digits-v2", "rev": None, "shadow": True}
    assert telling.line("prediction", head).endswith("prediction a by digits-v2, a copy for the shadow")
    assert telling.line("feedback", {"id": "a", "arrived_us": NOON, "outcome": None}).endswith("a without outcome")
    assert "digits: weights weights digits-v1 50, digits-v2 50 (rev r1)" in telling.line("decision", row)
