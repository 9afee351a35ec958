from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, update

from turnout.errors import Failed, InputError, Unavailable
from turnout.ledger import migrations
from turnout.ledger.schema import SCHEMA_VERSION, VERSIONS
from turnout.ledger.store import Store, wall_clock_us


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def version(connection: Connection) -> int:
    return int(connection.execute(select(SCHEMA_VERSION.c.version)).scalar_one())


def test_a_new_database_has_the_newest_schema(tmp_path: Path) -> None:
    store = Store(url(tmp_path))
    assert store.read(version).result() == migrations.newest()
    store.close()


def test_opening_a_database_again_keeps_what_it_holds(tmp_path: Path) -> None:
    row = {"namespace": "default", "endpoint": "digits", "version": "digits-v1"}
    first = Store(url(tmp_path))
    first.write(lambda connection: connection.execute(insert(VERSIONS).values(**row)).rowcount).result()
    first.close()
    second = Store(url(tmp_path))
    assert (
        second.read(lambda connection: connection.execute(select(VERSIONS.c.version)).scalar_one()).result()
        == "digits-v1"
    )
    second.close()


def test_an_older_schema_is_taken_forward_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(url(tmp_path)).close()

    def second(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE versions ADD COLUMN colour TEXT")

    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, second))
    store = Store(url(tmp_path))
    assert store.read(version).result() == migrations.newest()
    assert store.read(lambda connection: connection.exec_driver_sql("SELECT colour FROM versions").all()).result() == []
    store.close()


def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(url(tmp_path)).close()

    def broken(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE versions ADD COLUMN colour TEXT")
        connection.exec_driver_sql("nonsense")

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "STEPS", (*migrations.STEPS, broken))
        with pytest.raises(Unavailable, match="syntax error"):
            Store(url(tmp_path))
    store = Store(url(tmp_path))
    with pytest.raises(Unavailable, match="no such column: colour"):
        store.read(lambda connection: connection.exec_driver_sql("SELECT colour FROM versions").all()).result()
    store.close()


def test_a_database_of_a_newer_turnout_is_refused(tmp_path: Path) -> None:
    store = Store(url(tmp_path))
    store.write(lambda connection: connection.execute(update(SCHEMA_VERSION).values(version=99)).rowcount).result()
    store.close()
    with pytest.raises(Failed, match=r"has schema 99, this Turnout knows \d"):
        Store(url(tmp_path))


@pytest.mark.parametrize("wrong", ["ledger.db", "postgresql://u:pass@host/db", "sqlite://", "://"])
def test_only_a_sqlite_file_is_a_database_and_no_password_is_shown(wrong: str) -> None:
    with pytest.raises(InputError, match="wanted sqlite:////absolute/path") as caught:
        Store(wrong)
    assert "pass" not in str(caught.value)


def test_a_folder_that_does_not_exist_is_named() -> None:
    with pytest.raises(Unavailable, match="cannot open the ledger's database sqlite:////nowhere"):
        Store("sqlite:////nowhere/x.db")


def test_acknowledged_means_synced(tmp_path: Path) -> None:
    store = Store(url(tmp_path))
    for pragma, value in (("synchronous", 2), ("journal_mode", "wal"), ("secure_delete", 1)):
        assert store.write(lambda c, p=pragma: c.exec_driver_sql(f"PRAGMA {p}").scalar_one()).result() == value
    store.close()


def test_the_clock_counts_microseconds() -> None:
    assert 1_600_000_000_000_000 < wall_clock_us() < 10_000_000_000_000_000
