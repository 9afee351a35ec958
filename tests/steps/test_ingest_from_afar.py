"""Sources on a web server and behind a query; those in an object store are in test_ingest_from_s3."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.ledger.postgresql import PostgreSQL
from tests.steps.tables import FEATURES, LABELS, model_spec, take, two_tables
from turnout import spec
from turnout.errors import DataError, Unavailable
from turnout.spec import ModelSpec


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Tests have nothing to read here."""

    def do_GET(self) -> None:
        if self.path.startswith("/broken"):
            self.send_error(503)
        else:
            super().do_GET()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server over the folder of the test."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_web_server_has_sources_like_any_other(tmp_path: Path, web: str) -> None:
    near = take(tmp_path, model_spec(tmp_path, sources=two_tables(tmp_path)))
    pq.write_table(pyarrow.csv.read_csv(tmp_path / "features.csv"), tmp_path / "features.parquet")
    far = take(
        tmp_path,
        model_spec(tmp_path, sources={"features": f"{web}/features.parquet?of=today", "labels": f"{web}/labels.csv"}),
    )
    assert far.id == near.id
    assert far.sources[1].path == f"{web}/labels.csv"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nowhere.csv", DataError, "answers 404, 200 was wanted"),
        ("broken.csv", Unavailable, "answers 503"),
        ("table", DataError, r"a .csv or .parquet file was wanted"),
    ],
)
def test_what_a_web_server_does_not_have_is_named(
    tmp_path: Path, web: str, name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        take(tmp_path, model_spec(tmp_path, sources={"a": f"{web}/{name}"}))


def test_a_web_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"source a: http://127.0.0.1:9/a.csv does not answer"):
        take(tmp_path, model_spec(tmp_path, sources={"a": "http://127.0.0.1:9/a.csv"}))


def asked(folder: Path, url: str, query: str) -> ModelSpec:
    """A spec with one source: what a database answers."""
    return spec.loads(
        f"""
name: test
sources: [{{name: shop, path: '{url}', query: "{query}"}}]
keys: [id]
label: price
task: regression
candidates: [{{name: r, estimator: sklearn.linear_model.Ridge}}]
""",
        data_root=folder,
        deep=False,
    )


def database(folder: Path) -> None:
    """Features and labels as tables of `shop.db`."""
    with sqlite3.connect(folder / "shop.db") as shop:
        for name, text in (("features", FEATURES), ("labels", LABELS)):
            header, *lines = text.splitlines()
            shop.execute(f"CREATE TABLE {name} ({header})")
            marks = ", ".join("?" * len(header.split(",")))
            values = [[_typed(word) for word in line.split(",")] for line in lines]
            shop.executemany(f"INSERT INTO {name} VALUES ({marks})", values)


def _typed(word: str) -> object:
    return word if word.isalpha() else float(word) if "." in word else int(word)


QUERY = "SELECT f.*, l.price FROM features f JOIN labels l USING (id)"


def test_a_query_is_a_source_like_any_other(tmp_path: Path) -> None:
    near = take(tmp_path, model_spec(tmp_path, sources=two_tables(tmp_path)))
    database(tmp_path)
    made = take(tmp_path, asked(tmp_path, "sqlite:///shop.db", QUERY))
    assert made.id == near.id
    assert made.sources[0].path.startswith(f"sqlite:///{tmp_path}/shop.db?read=20")


@pytest.mark.long  # a server of its own, where SQLite shows the same but for the types
def test_a_postgresql_is_asked_with_a_password_that_is_kept_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers that PostgreSQL calls numeric are fractions, its times have an offset, its uuids are words."""
    query = (
        "SELECT n AS id, n::numeric / 2 AS size, '2026-01-01T00:00Z'::timestamptz AS at, "
        "'00000000-0000-0000-0000-000000000001'::uuid AS who, 10 * n AS price FROM generate_series(1, 50000) n"
    )
    with PostgreSQL() as server:
        monkeypatch.setenv("SHOP", server.new_database().partition("://")[2])
        made = take(tmp_path, asked(tmp_path, "postgresql+psycopg://${SHOP}", query))
    assert made.rows == 50_000
    assert made.columns == {"id": "int", "at": "datetime", "price": "int", "size": "float", "who": "string"}
    assert made.sources[0].path.startswith("postgresql+psycopg://${SHOP}?read=")


MISTAKES = [
    (
        "sqlite:///shop.db",
        "SELECT * FROM nowhere",
        DataError,
        "refuses 'SELECT \\* FROM nowhere': no such table: nowhere",
    ),
    ("sqlite:///shop.db", "SELECT id, id, price FROM labels", DataError, "the query names columns twice: id"),
    ("sqlite:///shop.db", "SELECT * FROM labels WHERE id < 0", DataError, "the query finds no rows"),
    ("sqlite:///shop.db", "CREATE TABLE x (y)", DataError, "the query gives no rows"),
    ("sqlite:////nowhere/shop.db", "SELECT 1", Unavailable, "unable to open database file"),
    ("nosuch://host/shop", "SELECT 1", DataError, "nosuch"),
    ("sqlite:///${SHOP_FILE}", "SELECT 1", DataError, "SHOP_FILE is not set where the steps run"),
    ("postgresql+psycopg://127.0.0.1:9/shop", "SELECT 1", Unavailable, "does not answer"),
]


@pytest.mark.parametrize(("url", "query", "error", "message"), MISTAKES)
def test_what_a_database_does_not_answer_is_named(
    tmp_path: Path, url: str, query: str, error: type[Exception], message: str
) -> None:
    database(tmp_path)
    with pytest.raises(error, match=message):
        take(tmp_path, asked(tmp_path, url, query))


def test_a_secret_is_in_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    with pytest.raises(Unavailable) as raised:
        take(tmp_path, asked(tmp_path, "postgresql+psycopg://me:${SHOP_PASSWORD}@127.0.0.1:9/hunter2", "SELECT 1"))
    assert "hunter2" not in str(raised.value).replace("@127.0.0.1:9/hunter2", "")
