"""The embedded reader beside writers: slices, deadlines, files that can't be read."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

import pytest
from opentelemetry.trace import SpanKind

from otel_django.backends.embedded import EmbeddedReader
from otel_django.backends.embedded_session import one_connection, session
from otel_django.contracts import TraceQuery
from otel_django.errors import ReadError, ReadTimeoutError
from otel_django.store.writer import StoreWriter
from tests.store_spans import MS, Losses, SpanSource, remote_parent


class SteppedClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.s = 1_700_000_000.0

    def now_ns(self) -> int:
        """As ``Clock``."""
        return int(self.s * 1e9)

    def monotonic_s(self) -> float:
        """As ``Clock``."""
        return self.s


@pytest.fixture
def source() -> SpanSource:
    return SpanSource()


def test_a_trace_in_two_slices_is_one_trace(path: Path, source: SpanSource) -> None:
    clock = SteppedClock()
    writer = StoreWriter(path, retention_hours=12, max_mb=64, drops=Losses(), clock=clock)
    start = clock.now_ns()
    root = source.request(start=start, queries=5, duration_ms=80)
    spans = source.take()
    writer.accept(spans[:3])
    source.request(start=start - 10**9, queries=1)
    writer.accept(source.take())
    clock.s += 2 * 3600
    writer.accept(spans[3:])
    source.request(start=start + 10**9, queries=1)
    writer.accept(source.take())
    writer.release()
    reader = EmbeddedReader(path)
    trace_id = format(root._context[0], "032x")
    page = reader.list_traces(TraceQuery())
    assert [trace.trace_id for trace in page.traces].count(trace_id) == 1
    trace = page.traces[1]
    assert (trace.trace_id, trace.span_count, trace.query_count) == (trace_id, 6, 5)
    assert (trace.name, trace.duration_ns) == ("GET /products/", 80 * MS)
    detail = reader.get_trace(trace_id)
    assert detail is not None
    assert len(detail.spans) == 6
    assert len(reader.spans_since("0:0").spans) == 10
    (endpoint,) = reader.endpoints(start - 60 * 10**9, start + 60 * 10**9)
    assert endpoint.count == 3


def test_an_answer_that_takes_too_long_is_cut_off(path: Path, source: SpanSource) -> None:
    writer = StoreWriter(path, retention_hours=12, max_mb=64, drops=Losses())
    for _ in range(300):
        source.request(queries=1)
    writer.accept(source.take())
    writer.release()
    impatient = EmbeddedReader(path, timeout_s=0)
    with pytest.raises(ReadTimeoutError, match="shorter range"):
        impatient.list_traces(TraceQuery())


def test_a_statement_is_interrupted_in_the_middle(path: Path, source: SpanSource) -> None:
    writer = StoreWriter(path, retention_hours=12, max_mb=64, drops=Losses())
    source.request()
    writer.accept(source.take())
    writer.release()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    began = time.monotonic()
    with pytest.raises(ReadTimeoutError), session(path, 0.1) as read:
        read.run(endless)
    assert time.monotonic() - began < 2


def test_what_is_read_cannot_be_written(path: Path, source: SpanSource) -> None:
    writer = StoreWriter(path, retention_hours=12, max_mb=64, drops=Losses())
    source.request()
    writer.accept(source.take())
    writer.release()
    with pytest.raises(ReadError, match=r"readonly|read-only"), session(path, 1) as read:
        read.run("DELETE FROM slice")


@pytest.mark.parametrize(
    "content", [b"not a database" * 1000, b"SQLite format 3\x00" + b"\xfe" * 9000]
)
def test_a_damaged_file_is_an_error_with_its_name(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ReadError, match=r"store\.sqlite3 can't be read"):
        EmbeddedReader(path).list_traces(TraceQuery())


def test_a_place_that_cannot_even_be_looked_at_is_an_error_with_its_name(tmp_path: Path) -> None:
    reader = EmbeddedReader(tmp_path / ("x" * 300) / "store.sqlite3")
    with pytest.raises(ReadError, match=r"store\.sqlite3 can't be read: File name too long"):
        reader.list_traces(TraceQuery())


def test_a_prefix_needs_three_letters(path: Path, source: SpanSource) -> None:
    writer = StoreWriter(path, retention_hours=12, max_mb=64, drops=Losses())
    source.request()
    writer.accept(source.take())
    writer.release()
    page = EmbeddedReader(path).list_traces(TraceQuery(text="pr*"))
    assert page.traces == ()
    assert "3 letters" in page.partial


def test_too_many_matches_are_said(path: Path, source: SpanSource) -> None:
    writer = StoreWriter(path, retention_hours=12, max_mb=64, drops=Losses())
    for _ in range(5_100):
        source.request(queries=0)
    spans = source.take()
    for start in range(0, len(spans), 512):
        writer.accept(spans[start : start + 512])
    writer.release()
    page = EmbeddedReader(path).list_traces(TraceQuery(text="products"))
    assert len(page.traces) == 50
    assert "5,000" in page.partial


def test_a_store_copied_to_a_read_only_folder_is_readable(
    path: Path, source: SpanSource, tmp_path: Path
) -> None:
    writer = StoreWriter(path, retention_hours=12, max_mb=64, drops=Losses())
    source.request()
    writer.accept(source.take())
    writer.close(time.monotonic() + 1)
    folder = tmp_path / "read only #1?"
    folder.mkdir()
    copy = folder / "copy.sqlite3"
    copy.write_bytes(path.read_bytes())
    copy.chmod(stat.S_IRUSR)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert len(EmbeddedReader(copy).list_traces(TraceQuery()).traces) == 1
    finally:
        folder.chmod(stat.S_IRWXU)


def test_readers_see_whole_batches_while_slices_come_and_go(path: Path, source: SpanSource) -> None:
    """A writer, its retention and a reader at once; every trace is seen whole."""
    clock = SteppedClock()
    losses = Losses()
    writer = StoreWriter(path, retention_hours=0.01, max_mb=64, drops=losses, clock=clock)
    stop = threading.Event()
    faults: list[str] = []
    reads = 0

    def read() -> None:
        nonlocal reads
        reader = EmbeddedReader(path, timeout_s=30)
        while not stop.is_set():
            try:
                for trace in reader.list_traces(TraceQuery(limit=20)).traces:
                    detail = reader.get_trace(trace.trace_id)
                    if trace.span_count != 4 or (detail is not None and len(detail.spans) != 4):
                        faults.append(f"{trace.span_count} spans")
                reader.endpoints(0, 2**62)
                reads += 1
            except ReadError as error:
                faults.append(str(error))

    source.request(queries=3)
    writer.accept(source.take())
    thread = threading.Thread(target=read)
    thread.start()
    deadline = time.monotonic() + 2.5
    try:
        while time.monotonic() < deadline:
            source.request(queries=3, start=clock.now_ns())
            writer.accept(source.take())
            clock.s += 2
            writer.file._housekeeping_at_s = 0
            writer.poll(clock.s)
    finally:
        stop.set()
        thread.join()
        writer.close(clock.s + 1)
    assert faults == []
    assert reads > 0
    assert losses.counts == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_of_fork_writes_and_reads_with_connections_of_its_own(
    path: Path, source: SpanSource
) -> None:
    losses = Losses()
    writer = StoreWriter(path, retention_hours=12, max_mb=64, drops=losses)
    source.request(queries=0)
    writer.accept(source.take())
    source.request(queries=0)
    batch = source.take()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            writer.after_fork()
            writer.accept(batch)
            ok = len(EmbeddedReader(path).list_traces(TraceQuery()).traces) >= 2
            writer.close(time.monotonic() + 1)
            code = 0 if ok and not losses.counts else 2
        finally:
            os._exit(code)
    source.request(queries=0)
    writer.accept(source.take())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    writer.close(time.monotonic() + 1)
    assert len(EmbeddedReader(path).list_traces(TraceQuery()).traces) == 3
    assert losses.counts == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_in_the_middle_of_a_read_goes_without_the_store(
    path: Path, source: SpanSource
) -> None:
    writer = StoreWriter(path, retention_hours=12, max_mb=64, drops=Losses())
    source.request(queries=0)
    writer.accept(source.take())
    source.request(queries=0)
    batch = source.take()
    with session(path, 5):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                writer.after_fork()
                writer.accept(batch)
                code = 0 if writer.problem and "forked" in writer.problem else 2
            finally:
                os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    writer.accept(batch)
    writer.close(time.monotonic() + 1)
    assert len(EmbeddedReader(path).list_traces(TraceQuery()).traces) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_between_reads_that_share_a_connection_harms_neither_side(
    path: Path, source: SpanSource
) -> None:
    writer = StoreWriter(path, retention_hours=12, max_mb=64, drops=Losses())
    source.request(queries=0)
    writer.accept(source.take())
    reader = EmbeddedReader(path)
    with one_connection():
        assert len(reader.list_traces(TraceQuery()).traces) == 1
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if len(reader.list_traces(TraceQuery()).traces) == 1 else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        source.request(queries=0)
        writer.accept(source.take())
        assert len(reader.list_traces(TraceQuery()).traces) == 2
    writer.close(time.monotonic() + 1)


def test_reads_that_share_a_connection_each_have_their_moment_and_deadline(
    path: Path, source: SpanSource
) -> None:
    writer = StoreWriter(path, retention_hours=12, max_mb=64, drops=Losses())
    reader = EmbeddedReader(path)
    with one_connection():
        assert reader.services() == ()
        source.request(queries=0)
        writer.accept(source.take())
        with pytest.raises(ReadTimeoutError):
            EmbeddedReader(path, timeout_s=-1).endpoints(0, time.time_ns())
        with session(path, 5) as outer:
            assert reader.services() == ("shop",)
            assert outer.slices
        assert reader.services() == ("shop",)
    writer.close(time.monotonic() + 1)


def test_tasks_are_counted_by_name_beside_requests(path: Path, source: SpanSource) -> None:
    now = time.time_ns()
    source.request("/checkout/", start=now, queries=0)
    for parent in (remote_parent(), remote_parent(span_id=0xF11D), None):
        name = "process shop.tasks.confirm"
        task = source.root(name, kind=SpanKind.CONSUMER, parent=parent, start=now)
        if parent is None:
            task.fail("BankBusy")
        task.end(now + 30 * MS)
    writer = StoreWriter(path, retention_hours=12, max_mb=64, drops=Losses())
    writer.accept(source.take())
    writer.release()
    counted = EmbeddedReader(path).endpoints(now, now)
    assert [(each.service, each.name, each.route, each.count, each.errors) for each in counted] == [
        ("shop", "process shop.tasks.confirm", "process shop.tasks.confirm", 3, 1),
        ("shop", "GET /checkout/", "/checkout/", 1, 0),
    ]
