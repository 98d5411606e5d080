"""Writing to the embedded store: real files, real spans."""

from __future__ import annotations

import json
import logging
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from otel_django.backends.embedded import EmbeddedReader
from otel_django.contracts import TraceQuery
from otel_django.errors import StoreError
from otel_django.store import schema
from otel_django.store.connection import _own_version, check_sqlite, open_writer
from otel_django.store.writer import MAX_WAITING_SPANS, StoreWriter
from tests.store_spans import MS, Losses, SpanSource, remote_parent


@pytest.fixture
def source() -> SpanSource:
    return SpanSource()


@pytest.fixture
def writer(path: Path, losses: Losses) -> Iterator[StoreWriter]:
    made = make(path, losses)
    yield made
    made.close(time.monotonic() + 1)


def make(path: Path, losses: Losses, **options: Any) -> StoreWriter:
    return StoreWriter(path, **{"retention_hours": 24, "max_mb": 64, "drops": losses, **options})


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


def test_nothing_is_made_before_the_first_batch(writer: StoreWriter, path: Path) -> None:
    assert writer.poll(time.monotonic()) is None
    assert not path.parent.exists()


def test_the_file_and_its_folder_are_private_and_ignored_by_version_control(
    writer: StoreWriter, source: SpanSource, path: Path
) -> None:
    source.request()
    writer.accept(source.take())
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for name in ("store.sqlite3", "store.sqlite3-wal", "store.sqlite3-shm"):
        assert modes[name] == 0o600
    assert (path.parent / ".gitignore").read_text() == "*\n"


def test_a_folder_of_the_users_own_is_left_as_it_is(
    tmp_path: Path, losses: Losses, source: SpanSource
) -> None:
    writer = make(tmp_path / "store.sqlite3", losses)
    source.request()
    writer.accept(source.take())
    writer.close(time.monotonic() + 1)
    assert [each.name for each in tmp_path.iterdir()] == ["store.sqlite3"]


def test_the_file_says_what_it_is(writer: StoreWriter, source: SpanSource, path: Path) -> None:
    source.request()
    writer.accept(source.take())
    writer.release()
    for pragma, value in (
        ("application_id", schema.APPLICATION_ID),
        ("user_version", schema.VERSION),
        ("page_size", 8192),
        ("auto_vacuum", 2),
        ("journal_mode", "wal"),
    ):
        assert query(path, f"PRAGMA {pragma}") == [(value,)]


def test_a_trace_is_summed_up_over_batches_and_processes(
    writer: StoreWriter, source: SpanSource, path: Path, losses: Losses
) -> None:
    root = source.request(queries=3, duration_ms=40)
    spans = source.take()
    other = SpanSource("mail")
    task = other.request("/task/", queries=1, parent=root.get_span_context(), status=500)
    task._parent = remote_parent(root._context[0], root._context[1])
    second = make(path, losses)
    writer.accept(spans[:2])
    writer.accept(spans[2:])
    second.accept(other.take())
    second.close(time.monotonic() + 1)
    (trace,) = EmbeddedReader(path).list_traces(TraceQuery()).traces
    assert (trace.name, trace.service, trace.http_status) == ("GET /products/", "shop", 200)
    assert (trace.span_count, trace.query_count, trace.query_ns) == (6, 4, 4 * MS // 2)
    assert (trace.duration_ns, trace.error_count, trace.failed) == (40 * MS, 1, False)


def test_repeated_attributes_of_queries_are_stored_once(
    writer: StoreWriter, source: SpanSource, path: Path
) -> None:
    for _ in range(20):
        source.request(queries=25)
    writer.accept(source.take())
    writer.release()
    assert query(path, "SELECT count(*), count(data), count(DISTINCT shared) FROM span_1") == [
        (520, 20, 1)
    ]


def test_anything_a_span_can_hold_is_stored_and_read_back(
    writer: StoreWriter, source: SpanSource, path: Path, losses: Losses
) -> None:
    huge = "x" * 1_000_000
    root = source.root("bad \ud800 name \x00 \x1b[2J", start=5)
    root._attributes.update(
        {
            "surrogate": "a\udfffb",
            "large": 2**70,
            "negative": -(2**63),
            "bytes": b"\x00\xff",
            "nothing": None,
            "nested": {"list": [1, [2.5, True]], "\ud800": "key"},
            "infinite": float("inf"),
            "nul": "a\x00b",
            "huge": huge,
        }
    )
    root.end(10**30)
    writer.accept(source.take())
    assert losses.counts == {}
    (span,) = _all_spans(path)
    assert span.name.startswith("bad � name ")
    assert span.attributes["surrogate"] == "a�b"
    assert span.attributes["large"] == str(2**70)
    assert span.attributes["negative"] in {-(2**63), str(-(2**63))}
    assert span.attributes["bytes"] == {"base64": "AP8="}
    assert span.attributes["nothing"] is None
    assert span.attributes["nested"] == {"list": [1, [2.5, True]], "�": "key"}
    assert span.attributes["infinite"] is None
    assert span.attributes["nul"] == "a\x00b"
    assert span.attributes["huge"] == huge
    assert span.duration_ns > 0


def _all_spans(path: Path) -> tuple[Any, ...]:
    return EmbeddedReader(path).spans_since("0:0").spans


def test_a_span_that_cannot_be_written_costs_no_other(
    writer: StoreWriter, source: SpanSource, path: Path, losses: Losses
) -> None:
    for _ in range(7):
        source.request(queries=0)
    spans = source.take()
    spans[3]._kind = type("Kind", (), {"value": None})()  # NOT NULL
    writer.accept(spans)
    assert losses.counts == {("traces", "store_error"): 1}
    assert len(_all_spans(path)) == 6


def test_spans_wait_while_the_file_is_locked_and_are_written_after(
    writer: StoreWriter, source: SpanSource, path: Path, losses: Losses
) -> None:
    source.request(queries=0)
    writer.accept(source.take())
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    source.request(queries=0)
    began = time.monotonic()
    writer.accept(source.take())
    assert time.monotonic() - began < 2
    wish = writer.poll(time.monotonic())
    assert wish is not None
    assert wish < 1
    blocker.execute("COMMIT")
    blocker.close()
    assert writer.flush(time.monotonic() + 5)
    assert len(_all_spans(path)) == 2
    assert losses.counts == {}


def test_what_waits_is_bounded_and_the_rest_counted(
    writer: StoreWriter, source: SpanSource, path: Path, losses: Losses
) -> None:
    source.request(queries=0)
    batch = source.take()
    writer.accept(batch)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    writer.accept(batch * (MAX_WAITING_SPANS + 1024))
    assert losses.counts == {("traces", "store_error"): 1024}
    writer.close(time.monotonic())
    assert losses.counts == {("traces", "store_error"): MAX_WAITING_SPANS + 1024}
    blocker.close()


def test_another_programs_database_is_left_alone(
    path: Path, source: SpanSource, losses: Losses, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE auth_user (id INTEGER)")
    theirs.close()
    before = path.read_bytes()
    writer = make(path, losses)
    for _ in range(2):
        source.request(queries=0)
        writer.accept(source.take())
    assert path.read_bytes() == before
    assert writer.problem is not None
    assert "another program's database" in writer.problem
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
    assert losses.counts == {("traces", "store_error"): 1}
    with pytest.raises(Exception, match="another program's database"):
        EmbeddedReader(path).list_traces(TraceQuery())


@pytest.mark.parametrize("statement", [1, 2, 3])
def test_a_store_that_another_process_makes_meanwhile_is_ours(path: Path, statement: int) -> None:
    path.parent.mkdir()
    begun: list[str] = []

    def make_it(sql: str) -> None:
        begun.append(sql)
        if len(begun) == statement:
            open_writer(path, 5.0).close()

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.set_trace_callback(make_it)
        assert _own_version(connection, path, schema.VERSION) in (0, schema.VERSION)
        assert len(begun) == 3


def test_a_newer_store_is_left_alone(path: Path, source: SpanSource, losses: Losses) -> None:
    old = make(path, losses)
    source.request(queries=0)
    old.accept(source.take())
    newer = make(path, losses, migrations=(*schema.MIGRATIONS, ("CREATE TABLE later (id)",)))
    source.request(queries=0)
    newer.accept(source.take())
    newer.close(time.monotonic() + 1)
    source.request(queries=0)
    old.accept(source.take())  # it was open all along
    assert old.problem is not None
    assert "newer otel_django" in old.problem
    late = make(path, losses)
    source.request(queries=0)
    late.accept(source.take())
    assert late.problem is not None
    assert "upgrade" in late.problem
    assert query(path, "SELECT count(*) FROM span_2") == [(1,)]


def test_a_migration_keeps_what_was_there_and_begins_a_new_slice(
    path: Path, source: SpanSource, losses: Losses
) -> None:
    source.request(queries=0)
    first = make(path, losses)
    first.accept(source.take())
    first.close(time.monotonic() + 1)
    step = ("CREATE TABLE later (id INTEGER PRIMARY KEY)",)
    source.request(queries=0)
    second = make(path, losses, migrations=(*schema.MIGRATIONS, step))
    second.accept(source.take())
    second.close(time.monotonic() + 1)
    newer = schema.VERSION + 1
    assert query(path, "PRAGMA user_version") == [(newer,)]
    assert query(path, "SELECT id, version FROM slice") == [(1, schema.VERSION), (2, newer)]
    assert query(path, "SELECT count(*) FROM span_1") == [(1,)]
    assert query(path, "SELECT count(*) FROM span_2") == [(1,)]
    assert query(path, "SELECT count(*) FROM later") == [(0,)]
    assert losses.counts == {}


@pytest.mark.parametrize("damage", ["not a database at all " * 500, ""])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(
    path: Path, source: SpanSource, losses: Losses, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    writer = make(path, losses)
    for _ in range(200):
        source.request()
    writer.accept(source.take())
    writer.close(time.monotonic() + 1)
    if damage:
        path.write_text(damage)
    else:
        with path.open("r+b") as file:
            for page in range(1, path.stat().st_size // 8192):
                file.seek(page * 8192)
                file.write(b"\xfe" * 8192)
    again = make(path, losses)
    source.request(queries=1)
    again.accept(source.take())
    again.close(time.monotonic() + 1)
    aside = list(path.parent.glob("store.sqlite3.corrupt-*"))
    assert len(aside) == 1
    assert len(_all_spans(path)) == 2
    assert losses.counts == {}
    assert [record.message for record in caplog.records if "damaged" in record.message]


def test_a_store_that_is_deleted_begins_anew(
    writer: StoreWriter, source: SpanSource, path: Path, losses: Losses
) -> None:
    source.request(queries=0)
    writer.accept(source.take())
    for each in path.parent.iterdir():
        each.unlink()
    time.sleep(1.05)  # looked at once a second
    source.request(queries=0)
    writer.accept(source.take())
    assert len(_all_spans(path)) == 1
    assert losses.counts == {}


def test_without_fts5_words_are_found_all_the_same(
    path: Path, source: SpanSource, losses: Losses
) -> None:
    writer = make(path, losses, fts=False)
    source.request(path="/products/4711/")
    source.request(path="/products/4712/")
    writer.accept(source.take())
    writer.close(time.monotonic() + 1)
    page = EmbeddedReader(path).list_traces(TraceQuery(text="products 4711"))
    assert len(page.traces) == 1


def test_an_old_sqlite_is_refused_with_the_cure() -> None:
    with pytest.raises(
        StoreError, match=r"needs SQLite 3\.38\.0 or newer, this Python has 3\.37\.2"
    ):
        check_sqlite((3, 37, 2))


def test_the_sampling_probability_a_span_was_kept_with_is_stored(
    writer: StoreWriter, source: SpanSource, path: Path
) -> None:
    from opentelemetry.trace.span import TraceState

    root = source.request(queries=1)
    spans = source.take()
    for span in spans:
        span._export_state = TraceState([("ot", "th:8")])
    writer.accept(spans)
    assert root._context[4] == {}
    assert [span.trace_state for span in _all_spans(path)] == ["ot=th:8", "ot=th:8"]


def test_rollups_count_endpoints_and_statements_by_minute(
    writer: StoreWriter, source: SpanSource, path: Path
) -> None:
    start = 1_700_000_000 * 10**9
    for index in range(100):
        source.request(
            start=start + index * MS,
            duration_ms=100 if index >= 94 else 10,
            status=500 if index < 3 else 200,
        )
    writer.accept(source.take())
    reader = EmbeddedReader(path)
    (endpoint,) = reader.endpoints(start, start + 60 * 10**9)
    assert (endpoint.name, endpoint.route) == ("GET /products/", "/products/")
    assert (endpoint.count, endpoint.errors) == (100, 3)
    assert endpoint.duration_ns == (94 * 10 + 6 * 100) * MS
    assert endpoint.p50_ns == pytest.approx(10 * MS, rel=0.13)
    assert endpoint.p95_ns == pytest.approx(100 * MS, rel=0.13)
    (statement,) = reader.statements(start, start + 60 * 10**9)
    assert statement.count == 200
    assert statement.name.startswith("SELECT id, name")
    assert reader.endpoints(start + 3600 * 10**9, start + 7200 * 10**9) == ()


@pytest.mark.parametrize("duration_ns", [0, 1, 1023, 1024, 1500, 10**6, 10**9, 7 * 10**12, 2**62])
def test_a_bucket_is_within_an_eighth_of_the_durations_in_it(duration_ns: int) -> None:
    middle = schema.bucket_middle_ns(schema.bucket(duration_ns))
    assert abs(middle - duration_ns) <= max(duration_ns / 8, 1024)


def test_json_without_orjson_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from otel_django.store import json_text

    values = [{"a": [1, 2.5, None, True, "é\ud800", 2**80, b"x"], "b": {"c": float("nan")}}, "x", 3]
    fast = [json_text.loads(json_text.dumps(value)) for value in values]
    monkeypatch.setattr(json_text, "_orjson", None)
    assert [json.loads(json_text.dumps(value)) for value in values] == fast
