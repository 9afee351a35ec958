from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, insert, inspect, select

from tests.ledger.building import NOON
from tests.ledger.postgresql import PostgreSQL
from tests.ledger.serving import TOKEN, URL, InProcess
from turnout.errors import Failed, InputError, NotFound, Unavailable
from turnout.ledger import audit, databases, migrations
from turnout.ledger.api.app import application
from turnout.ledger.client import LedgerClient
from turnout.ledger.schema import VERSIONS
from turnout.ledger.store import Store, wall_clock_us

FIRST_RELEASE = Path(__file__).parent / "data" / "first_release.sql"


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def older(folder: Path, number: int = 1) -> str:
    """A ledger of the first release, with predictions, feedback, an erasure and a request at the gateway."""
    connection = sqlite3.connect(folder / "ledger.db")
    connection.executescript(FIRST_RELEASE.read_text())
    if number == 2:
        connection.executescript(
            "ALTER TABLE predictions ADD COLUMN subject TEXT; UPDATE schema_version SET version = 2"
        )
    connection.close()
    return url(folder)


def revision(connection: Connection) -> Any:
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()


def shape(url: str) -> dict[str, Any]:
    """Tables, columns and indexes, as the database itself describes them."""
    engine = create_engine(databases.address(url))
    seen = inspect(engine)
    tables = {
        table: (
            {column["name"]: (str(column["type"]), column["nullable"]) for column in seen.get_columns(table)},
            sorted(str((index["name"], index["column_names"])) for index in seen.get_indexes(table)),
            seen.get_pk_constraint(table)["constrained_columns"],
        )
        for table in seen.get_table_names()
    }
    engine.dispose()
    return tables


def test_a_new_database_has_the_newest_schema(database: str) -> None:
    store = Store(database)
    assert store.read(revision).result() == migrations.newest()
    store.close()


def test_opening_a_database_again_keeps_what_it_holds(database: str) -> None:
    row = {"namespace": "default", "endpoint": "digits", "version": "digits-v1"}
    first = Store(database)
    first.write(lambda connection: connection.execute(insert(VERSIONS).values(**row)).rowcount).result()
    first.close()
    second = Store(database)
    found = second.read(lambda connection: connection.execute(select(VERSIONS.c.version)).scalar_one()).result()
    assert found == "digits-v1"
    second.close()


@pytest.mark.parametrize("number", [1, 2])
def test_an_upgraded_ledger_has_the_tables_of_a_new_one(tmp_path: Path, number: int) -> None:
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
    Store(older(tmp_path / "old", number)).close()
    Store(url(tmp_path / "new")).close()
    assert shape(url(tmp_path / "old")) == shape(url(tmp_path / "new"))


def test_a_postgresql_of_the_revision_before_gets_the_smaller_indexes(postgresql: PostgreSQL) -> None:
    address = postgresql.new_database()
    Store(address).close()
    new = shape(address)
    engine = create_engine(databases.address(address))
    with engine.begin() as connection:
        for name, condition in (("evidence", ""), ("labelled", " WHERE feedback_count > 0")):
            connection.exec_driver_sql(f"DROP INDEX ix_predictions_{name}")
            connection.exec_driver_sql(
                f"CREATE INDEX ix_predictions_{name} ON predictions (version_no, time_us, id){condition}"
            )
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0003'")
    engine.dispose()
    Store(address).close()
    assert shape(address) == new


def test_an_upgrade_loses_nothing(tmp_path: Path) -> None:
    store = Store(older(tmp_path))
    with InProcess(application(store, token=TOKEN)) as transport:
        ledger = LedgerClient(URL, TOKEN, transport=transport)
        summary = ledger.summary("digits")
        assert (summary["predictions"], summary["labelled"]) == (43, 4)
        assert summary["versions"]["digits-v1"]["mean_outcome"] == 0.5
        assert summary["versions"]["digits-v1"]["errors"] == summary["versions"]["digits-v2"]["shadow"] == 1

        corrected = ledger.prediction(f"{1:032x}")
        assert [word["label"] for word in corrected["feedback"]] == [7, 8]
        assert (corrected["request_id"], corrected["time_us"]) == ("request-1", NOON + 1)
        assert corrected["inputs"][0]["data"] == [0.0, 1.5]
        with pytest.raises(NotFound, match="erased"):
            ledger.prediction(f"{5:032x}")
        assert ledger.feedback_by_caller("mine", label=7)["predictions"][0]["status"] == "unchanged"
        units = ledger.evidence("digits", champion="digits-v1", challenger="digits-v2", window_us=0)["units"]
        assert [unit["id"] for unit in units][:3] == [f"{i:032x}" for i in range(3)]
        assert len(units) == 41

        late = ledger.feedback("e" * 32, label=1)
        assert (late["status"], late["pending"]) == ("unchanged", True)
    assert store.read(audit.verify).result().problem is None
    store.close()


def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    address = older(tmp_path)
    before = sqlite3.connect(tmp_path / "ledger.db")
    before.execute("CREATE TABLE pins (colour TEXT)")  # in the way of the upgrade
    before.close()
    with pytest.raises(Unavailable, match="already exists"):
        Store(address)
    assert "schema_version" in shape(address)
    assert "alembic_version" not in shape(address)


def test_a_database_of_a_newer_turnout_is_refused(database: str) -> None:
    store = Store(database)
    store.write(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'").rowcount).result()
    store.close()
    with pytest.raises(Failed, match="has schema 9999, this Turnout knows up to"):
        Store(database)


@pytest.mark.parametrize(
    "wrong", ["ledger.db", "mysql://u:pass@host/db", "sqlite://", "://", "postgresql://u:pass@host"]
)
def test_other_databases_are_refused_and_no_password_is_shown(wrong: str) -> None:
    with pytest.raises(InputError, match="wanted sqlite:////absolute/path") as caught:
        Store(wrong)
    assert "pass" not in str(caught.value)


def test_a_folder_that_does_not_exist_is_named() -> None:
    with pytest.raises(Unavailable, match="cannot open the ledger's database sqlite:////nowhere"):
        Store("sqlite:////nowhere/x.db")


def test_a_server_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot open the ledger's database postgresql") as caught:
        Store(f"postgresql://ann:pass@/ledger?host={tmp_path}")
    assert "pass" not in str(caught.value)


def test_acknowledged_means_synced_on_sqlite(tmp_path: Path) -> None:
    store = Store(url(tmp_path))
    for pragma, value in (("synchronous", 2), ("journal_mode", "wal"), ("secure_delete", 1)):
        assert store.write(lambda c, p=pragma: c.exec_driver_sql(f"PRAGMA {p}").scalar_one()).result() == value
    store.close()


def test_acknowledged_means_synced_on_postgresql(store: Store) -> None:
    if store.write(lambda c: c.dialect.name).result() == "postgresql":
        for setting in ("fsync", "synchronous_commit"):
            assert store.write(lambda c, s=setting: c.exec_driver_sql(f"SHOW {s}").scalar_one()).result() == "on"


def test_the_clock_counts_microseconds() -> None:
    assert 1_600_000_000_000_000 < wall_clock_us() < 10_000_000_000_000_000
