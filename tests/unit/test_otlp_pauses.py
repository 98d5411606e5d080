"""The encoder gives way at least every 0.25 ms: ``P4`` of the faults that others have.

Time is counted, not measured: the clock moves 1 µs for each attribute, element or event that the
encoder takes in hand (several times what one costs) and for each 512 characters it encodes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource

from otel_django.log_record import LogRecord
from otel_django.metric_points import (
    Exemplar,
    HistogramPoint,
    Metric,
    NumberPoint,
    ResourceMetrics,
)
from otel_django.pipeline import otlp_logs, otlp_metrics
from otel_django.pipeline.otlp_trace import encode_request
from otel_django.tracing.span import Event, Link, Span
from tests.unit.otlp_spans import make_span

LONGEST_S = 0.000_25


class WorkClock:
    """A clock that work moves, and the gaps between the pauses."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.paused_s = 0.0
        self.gaps: list[float] = []
        self.threads: set[int] = set()

    def __call__(self) -> float:
        return self.now_s

    def work(self, units: int = 1) -> None:
        self.now_s += units * 1e-6

    def pause(self) -> None:
        self.gaps.append(self.now_s - self.paused_s)
        self.paused_s = self.now_s
        self.threads.add(threading.get_ident())

    def longest_gap_s(self) -> float:
        return max([*self.gaps, self.now_s - self.paused_s])


class Attributes(dict[str, Any]):
    """Attributes whose reading takes time."""

    def __init__(self, clock: WorkClock, **attributes: Any) -> None:
        super().__init__(attributes)
        self.clock = clock

    def items(self) -> Any:
        self.clock.work(3)  # the span's or event's frame
        for item in super().items():
            self.clock.work()
            yield item


class Elements(list[Any]):
    """A list whose reading takes time."""

    def __init__(self, clock: WorkClock, elements: Any) -> None:
        super().__init__(elements)
        self.clock = clock

    def __iter__(self) -> Iterator[Any]:
        for element in super().__iter__():
            self.clock.work()
            yield element


class Text(str):
    """A text whose encoding takes time."""

    __slots__ = ("clock",)

    clock: WorkClock

    def __getitem__(self, part: Any) -> Text:
        text = Text(super().__getitem__(part))
        text.clock = self.clock
        return text

    def encode(self, *arguments: Any) -> bytes:
        self.clock.work(len(self) // 512)
        return super().encode(*arguments)


def long_text(clock: WorkClock, size: int) -> Text:
    text = Text("é" * size)
    text.clock = clock
    return text


def typical(clock: WorkClock) -> list[Span]:
    return [
        make_span(
            attributes=Attributes(clock, **{f"key{n}": f"value {n}" for n in range(size % 40)})
        )
        for size in range(512)
    ]


def as_large_as_limits_allow(clock: WorkClock) -> list[Span]:
    return [
        make_span(attributes=Attributes(clock, **{f"key{n}": n for n in range(128)}))
        for _ in range(512)
    ]


def with_ten_thousand_attributes(clock: WorkClock) -> list[Span]:
    return [make_span(attributes=Attributes(clock, **{f"key{n}": n for n in range(10_000)}))]


def with_a_long_list(clock: WorkClock) -> list[Span]:
    return [make_span(attributes={"ids": Elements(clock, range(100_000))})]


def with_nested_lists(clock: WorkClock) -> list[Span]:
    rows = [{"row": Elements(clock, range(20))} for _ in range(1_000)]
    return [make_span(attributes={"rows": Elements(clock, rows)})]


def with_many_events(clock: WorkClock) -> list[Span]:
    events = [Event("e", Attributes(clock, a=1, b="x"), 1, 0) for _ in range(5_000)]
    return [make_span(events=events)]


def with_many_links(clock: WorkClock) -> list[Span]:
    context = make_span()._context
    return [make_span(links=[Link(context, Attributes(clock, a=1), 0) for _ in range(5_000)])]


def with_a_long_text(clock: WorkClock) -> list[Span]:
    return [make_span(attributes={"text": long_text(clock, 1_000_000)})]


def with_many_texts(clock: WorkClock) -> list[Span]:
    texts = {f"key{n}": long_text(clock, 30_000) for n in range(128)}
    return [make_span(attributes=Attributes(clock, **texts))]


def with_long_stack_traces(clock: WorkClock) -> list[Span]:
    trace: dict[str, Any] = {"exception.stacktrace": long_text(clock, 20_000)}
    return [make_span(events=[Event("exception", trace, 1, 0) for _ in range(100)])]


class Series(tuple[Any, ...]):  # noqa: SLOT001 - has a clock
    """Attributes or points of metrics whose reading takes time."""

    clock: WorkClock

    def __iter__(self) -> Iterator[Any]:
        for one in super().__iter__():
            self.clock.work()
            yield one


def series(clock: WorkClock, items: Iterable[Any]) -> Series:
    found = Series(items)
    found.clock = clock
    return found


def log_records(clock: WorkClock) -> list[LogRecord]:
    return [
        LogRecord(
            time_ns=1,
            severity_number=9,
            severity_text="INFO",
            body=long_text(clock, size * 100),
            attributes=Attributes(clock, **{f"key{n}": f"value {n}" for n in range(size % 40)}),
            resource=Resource({}),
        )
        for size in range(512)
    ]


def ten_thousand_series(clock: WorkClock) -> list[ResourceMetrics]:
    points = (
        NumberPoint(series(clock, (("http.route", "/x/"), ("n", n))), n, 1, 2)
        for n in range(10_000)
    )
    metric = Metric("requests", "1", "Requests.", "counter", series(clock, points))
    return [ResourceMetrics({}, (metric,))]


def many_histograms(clock: WorkClock) -> list[ResourceMetrics]:
    exemplars = tuple(Exemplar(1.0, 1, 2, 3, series(clock, (("a", 1),))) for _ in range(5))
    points = (
        HistogramPoint(
            series(clock, (("n", n),)), (1,) * 15, 1.0, 1, 2, exemplars=series(clock, exemplars)
        )
        for n in range(1_000)
    )
    metric = Metric(
        "duration", "s", "Time.", "histogram", series(clock, points), tuple(map(float, range(14)))
    )
    return [ResourceMetrics({}, (metric,))]


@pytest.mark.parametrize(
    ("make", "encode"),
    [
        (log_records, otlp_logs.encode_request),
        (ten_thousand_series, otlp_metrics.encode_request),
        (many_histograms, otlp_metrics.encode_request),
    ],
)
def test_P4_logs_and_metrics_pause_every_quarter_millisecond(
    make: Callable[[WorkClock], list[Any]], encode: Callable[..., bytes]
) -> None:
    clock = WorkClock()
    batch = make(clock)
    encoded = encode(batch, clock.pause, clock=clock)
    assert clock.now_s > LONGEST_S, "the batch is work enough to need a pause"
    assert clock.longest_gap_s() <= LONGEST_S
    assert encode(batch) == encoded


@pytest.mark.parametrize(
    "make",
    [
        typical,
        as_large_as_limits_allow,
        with_ten_thousand_attributes,
        with_a_long_list,
        with_nested_lists,
        with_many_events,
        with_many_links,
        with_a_long_text,
        with_many_texts,
        with_long_stack_traces,
    ],
)
def test_P4_a_batch_pauses_every_quarter_millisecond(
    make: Callable[[WorkClock], list[Span]],
) -> None:
    clock = WorkClock()
    batch = make(clock)
    encoder = threading.Thread(target=lambda: encode_request(batch, clock.pause, clock=clock))
    encoder.start()
    encoder.join()
    assert clock.now_s > LONGEST_S, "the batch is work enough to need a pause"
    assert clock.longest_gap_s() <= LONGEST_S
    assert clock.threads == {encoder.ident}


def test_P4_pausing_changes_no_byte() -> None:
    clock = WorkClock()
    batch = typical(clock)
    assert encode_request(batch, clock.pause, clock=clock) == encode_request(batch)


def test_P4_a_small_batch_does_not_pause_for_nothing() -> None:
    clock = WorkClock()
    encode_request([make_span(attributes=Attributes(clock, a=1))], clock.pause, clock=clock)
    assert clock.gaps == []
