"""`python -m bench.ledger [part ...] [--scale 0.01]`: about 13 minutes on two idle cores, and for a while 8 GB of disk.

On each database: predictions in batches of 500 for half a minute with a kill -9 in the middle; the cost of a prediction
beside a tenth of a million others and beside ten million; questions and increments of evidence at ten million; bytes of
a labelled prediction. Then predictions beside a busy ledger. `--scale` makes all of it smaller, to try.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
from sqlalchemy import create_engine, text

from bench import rows
from bench.ledger import asking, feeding, millions, predicting
from bench.ledger.feeding import VERSIONS, Feeder, feed
from bench.ledger.servers import Ledger
from bench.rows import Row, measured
from tests.ledger.postgresql import PostgreSQL
from turnout.ledger import databases

_PARTS = ("sqlite", "postgresql", "predictions")
_SMALL = 100_000
_COPIES = 99
_SECONDS = 40.0
_ROUNDS = 5
_ROUND_EVENTS = 20_000
_LABEL_ROUNDS = 10
_QUESTIONS = 1_000
_INCREMENTS = 60


class Bench:
    """One database's part of it; figures that are of both have the worse of the two."""

    def __init__(self, kind: str, folder: Path, *, scale: float, server: PostgreSQL | None) -> None:
        self.kind, self._folder, self._scale, self._server = kind, folder, scale, server
        self._now_us = time.time_ns() // 1000

    def database(self, name: str) -> str:
        """A new one."""
        return f"sqlite:///{self._folder / name}.db" if self._server is None else self._server.new_database()

    def sustained(self) -> Row:
        """Events a second, with a kill in the middle; all of them are there afterwards, each once."""
        self._say("events for a while, with a kill -9")
        feeders, seconds = self._feeders(self._now_us), self._part(_SECONDS)
        with Ledger(self.database("events"), self._folder) as ledger:
            threading.Timer(seconds / 2, ledger.kill).start()
            count, took = feed(ledger.url, feeders, seconds=seconds)
            database = ledger.database
        stored = self._scalar(database, "SELECT count(*) FROM predictions")
        if stored != count:
            raise SystemExit(f"bench.ledger: {count} events were acknowledged, {stored} are there")
        return measured(f"{self.kind}_events_per_s", [count / took], "events/s", at_least=20_000)

    def small_and_large(self) -> Iterator[Row]:
        """What a hundred times as many change, on two ledgers side by side."""
        small, large = self.database("small"), self.database("large")
        copies = max(1, round(_COPIES * self._scale))
        first_us = self._now_us - (copies + 1) * millions.SPAN_US
        for database in (large, small):
            self._say("a tenth of a million")
            with Ledger(database, self._folder) as ledger:
                feeders = self._feeders(first_us)
                asking.announce(ledger)
                feed(ledger.url, feeders, events=self._part(_SMALL))
                ids = [name for feeder in feeders for name in feeder.ids]
                self._label(ledger, ids[::5])
        self._say(f"{copies} copies of them")
        millions.grow(large, copies=copies)
        with Ledger(small, self._folder) as few, Ledger(large, self._folder) as many:
            feeders = self._feeders(self._now_us)
            yield self._cost_ratio(few, many, feeders)
            self._say("questions and increments")
            asked = asking.questions_ms(many, since_us=first_us, until_us=self._now_us, count=self._part(_QUESTIONS))
            yield measured("query_p99_ms_10m", [asking.p99(asked)], "ms", at_most=50)
            feeders = self._feeders(time.time_ns() // 1000 - 10_000_000)
            took = asking.increments_ms(many, feeders=feeders, count=self._part(_INCREMENTS))
            yield measured("evidence_increment_ms_10m", took, "ms", at_most=20)
            if self.kind == "postgresql":
                yield measured("postgresql_drop_month_ms", [asking.drop_month_ms(many, first_us)], "ms")

    def labelled(self) -> Row:
        """Bytes of a prediction with its label, where labels follow predictions and the database tidies up behind."""
        self._say("labels behind predictions")
        database = self.database("labelled")
        with Ledger(database, self._folder) as ledger:
            feeders = self._feeders(self._now_us)
            for _ in range(_LABEL_ROUNDS):
                known = {name for feeder in feeders for name in feeder.ids}
                feed(ledger.url, feeders, events=self._part(_ROUND_EVENTS))
                self._label(ledger, sorted({name for feeder in feeders for name in feeder.ids} - known))
                if self._server is not None:
                    self._vacuum(database)
        return measured("bytes_per_prediction", [self._bytes(database)], "bytes", at_most=1_000)

    @staticmethod
    def _vacuum(database: str) -> None:
        """What autovacuum does every minute; a benchmark has not so many."""
        engine = create_engine(databases.address(database), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("VACUUM")
        engine.dispose()

    def _cost_ratio(self, few: Ledger, many: Ledger, feeders: list[Feeder]) -> Row:
        """The two take turns, so that whatever else the machine does meets both."""
        self._say("turns of both")
        ratios = []
        for number in range(_ROUNDS + 1):
            took = {}
            for ledger in (few, many) if number % 2 else (many, few):
                took[ledger.url] = feed(ledger.url, feeders, events=self._part(_ROUND_EVENTS))[1]
            if number:  # the first turn warms up
                ratios.append(took[many.url] / took[few.url])
        return measured("cost_ratio_10m_to_0.1m", ratios, "ratio", at_most=1.2)

    @staticmethod
    def _label(ledger: Ledger, ids: Sequence[str]) -> None:
        """By one bulk upload."""
        connection = http.client.HTTPConnection("127.0.0.1", int(ledger.url.rpartition(":")[2]), timeout=1_200)
        feeding.post(connection, "/v1/feedback/bulk", feeding.labels(ids), kind="application/x-ndjson")
        connection.close()

    def _bytes(self, database: str) -> float:
        """Tables and indexes, over predictions."""
        if self._server is None:
            size = float((self._folder / "labelled.db").stat().st_size)
        else:
            size = self._scalar(
                database,
                "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c"
                " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relkind = 'r'",
            )
        return size / self._scalar(database, "SELECT count(*) FROM predictions")

    @staticmethod
    def _scalar(database: str, statement: str) -> float:
        engine = create_engine(databases.address(database))
        with engine.connect() as connection:
            found = connection.execute(text(statement)).scalar_one()
        engine.dispose()
        return float(found)

    def _part(self, whole: float) -> int:
        """As much of it as this run does; a tenth at least, so that it can be measured at all."""
        return round(whole * max(self._scale, 0.1))

    @staticmethod
    def _feeders(time_us: int) -> list[Feeder]:
        return [Feeder(version, time_us=time_us) for version in VERSIONS]

    def _say(self, what: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {self.kind}: {what}", file=sys.stderr, flush=True)


def main() -> int:
    """Measure and publish; the exit code is 1 if a target does not hold."""
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(_PARTS)}; all without one")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the ten million, and of the time")
    arguments = parser.parse_args()
    parts, scale = arguments.parts or _PARTS, arguments.scale
    if unknown := set(parts) - set(_PARTS):
        parser.error(f"no such part: {', '.join(unknown)}")
    found: list[Row] = []
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="turnout-bench-") as scratch, contextlib.ExitStack() as running:
            if part == "predictions":
                found += _beside_predictions(Path(scratch), seconds=20 * max(scale, 0.2))
                continue
            server = running.enter_context(PostgreSQL()) if part == "postgresql" else None
            bench = Bench(part, Path(scratch), scale=scale, server=server)
            found.append(bench.sustained())
            found += bench.small_and_large()
            found.append(bench.labelled())
    return 0 if _publish(found) else 1


def _beside_predictions(folder: Path, *, seconds: float) -> Iterator[Row]:
    for state, ratios in predicting.ratios(f"sqlite:///{folder / 'ledger.db'}", folder, seconds=seconds).items():
        yield measured(f"predict_p99_ratio_ledger_{state}", ratios, "ratio", at_most=1.5)


def _publish(found: list[Row]) -> bool:
    """The table, with both databases; in the file the worse of the two under each key, and all rows."""
    holds = rows.publish("ledger", found)
    values: dict[str, float] = {}
    for row in found:
        values[row.name] = max(row.value, values.get(row.name, row.value))
    kept = orjson.loads((rows.OUT / "ledger.json").read_bytes())
    document = values | {"rows": kept}
    (rows.OUT / "ledger.json").write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    return holds


if __name__ == "__main__":
    sys.exit(main())
