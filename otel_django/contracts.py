"""The Protocols of the extension points; parts of one layer meet here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from otel_django.observation import Observation as Observation  # noqa: PLC0414 - it is a contract, too
from otel_django.observation import Observer as Observer  # noqa: PLC0414

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.metric_points import Attributes, Kind, Point, ResourceMetrics
    from otel_django.tracing.tracer import Tracer


class Sink(Protocol):
    """Where the worker thread puts finished items of one signal: spans or log records.

    One that has an ``on_wait`` calls it while it waits for the network. All but ``spill`` and
    ``hold`` runs on the worker thread.
    """

    def accept(self, batch: Sequence[Any]) -> None:
        """Take them; never raises, returns soon."""
        ...

    def spill(self, batch: Sequence[Any]) -> None:
        """The queue is full: keep the batch without network; called on a request's thread."""
        ...

    def hold(self) -> None:
        """This process may be killed at any moment: what is in hand is kept without network first.

        Called on any thread; so is what is accepted until the next ``poll``.
        """
        ...

    def poll(self, now_s: float) -> float | None:
        """Do what is due at monotonic time ``now_s``; seconds until wanted again, None: no wish."""
        ...

    def flush(self, deadline_s: float) -> bool:
        """Hand on what is held, until the monotonic ``deadline_s``; True if nothing is left."""
        ...

    def close(self, deadline_s: float) -> None:
        """Flush, keep on disk what couldn't be sent, release files and connections."""
        ...

    def after_fork(self) -> None:
        """In a forked child, before its first use: let go of the parent's files and connections."""
        ...


class ProcessLife(Protocol):
    """What an instrumentation may ask of its process, where exit hooks don't reach."""

    def serving_ends(self) -> None:
        """Flush within ``OTEL_DJANGO_SHUTDOWN_TIMEOUT``: the process may end at any moment."""
        ...

    def end_soon(self) -> None:
        """Flush within a quarter of a second and stop: something waits for this process to end."""
        ...

    def keep_all(self) -> None:
        """Have everything on disk at once, without network: the process may be killed."""
        ...

    def adopt(self) -> None:
        """See to it that what other processes leave on disk is sent from now on."""
        ...


class Instrumentation(Protocol):
    """One instrumented library.

    Its ``process_ends()``, if it has one, is called before the last flush, on any thread: to end
    the spans of what won't come to its own end. Its ``measure_with(recorder)``, if it has one, is
    called before ``install`` where metrics are on, with the process's ``metrics.Recorder``.
    """

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Patch; a second call changes nothing."""
        ...

    def uninstall(self) -> None:
        """Put back what ``install`` changed."""
        ...


# --- Reading: what pages and commands ask of a backend. Times are nanoseconds since the epoch,
# ids lower-case hexadecimal. ``partial`` is empty when an answer is whole, else a sentence that
# says what is missing. A backend that can't answer at all raises ReadError.


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """Which traces; every condition given must hold. ``limit`` a page, newest first (or slowest).

    ``route`` is the root's ``http.route``, or its name where it has none, ``name`` its name; both
    may end in ``*``. ``status_class`` is 1 to 5. Durations are the root's, inclusive. ``trace_id``
    is at least eight digits of its beginning. ``text`` is the same, or words that all occur in the
    trace's spans; a word may end in ``*``. ``cursor`` comes from the page before, of the same
    order.
    """

    since_ns: int | None = None
    until_ns: int | None = None
    service: str | None = None
    route: str | None = None
    status_class: int | None = None
    min_duration_ns: int | None = None
    max_duration_ns: int | None = None
    errors_only: bool = False
    text: str = ""
    limit: int = 50
    cursor: str | None = None
    name: str | None = None
    method: str | None = None
    http_status: int | None = None
    n_plus_one: bool = False
    trace_id: str | None = None
    slowest_first: bool = False


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A row of the trace list. ``name``, ``route`` and what follows are the root's, as far as it
    has arrived; ``error_count`` counts spans that failed, ``failed`` is the root's own status,
    ``n_plus_one`` how many of its queries were repeats of one another.
    """

    trace_id: str
    start_ns: int
    duration_ns: int
    span_count: int
    error_count: int
    query_count: int
    query_ns: int
    name: str = ""
    route: str = ""
    service: str = ""
    method: str | None = None
    http_status: int | None = None
    failed: bool = False
    n_plus_one: int = 0


@dataclass(frozen=True, slots=True)
class TracePage:
    """Traces in the order asked for; ``cursor`` asks for the next page, None: there is none."""

    traces: tuple[TraceSummary, ...]
    cursor: str | None = None
    partial: str = ""


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened at one moment of a span."""

    name: str
    time_ns: int
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A span of another trace that this one has to do with."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanRow:
    """One span. ``local_root``: it has no parent in its own process. ``kind`` is one of internal,
    server, client, producer, consumer; ``status`` of unset, ok, error.
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    local_root: bool
    name: str
    kind: str
    service: str
    start_ns: int
    duration_ns: int
    status: str
    status_message: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    resource: Mapping[str, Any] = field(default_factory=dict)
    scope: str = ""
    trace_state: str = ""


@dataclass(frozen=True, slots=True)
class TraceDetail:
    """All spans of a trace by start."""

    trace_id: str
    spans: tuple[SpanRow, ...]
    partial: str = ""


@dataclass(frozen=True, slots=True)
class SpanPage:
    """Spans in the order they arrived; ``cursor`` asks for those after them."""

    spans: tuple[SpanRow, ...]
    cursor: str


class TraceReader(Protocol):
    """Where traces are read from. Every answer is bounded in time and rows."""

    def list_traces(self, query: TraceQuery) -> TracePage:
        """One page of what ``query`` asks for."""
        ...

    def get_trace(self, trace_id: str) -> TraceDetail | None:
        """A trace by its 32 digits, None if there is none."""
        ...

    def spans_since(self, cursor: str | None, limit: int = 2000) -> SpanPage:
        """What arrived after ``cursor``; None: nothing yet, only where to go on from.

        A backend may repeat spans; it must not leave any out.
        """
        ...

    def services(self) -> tuple[str, ...]:
        """The names of services there are traces of."""
        ...


@dataclass(frozen=True, slots=True)
class OperationStats:
    """One operation's calls in a range of time; percentiles are within 13 % of the true ones.

    ``queries`` and ``query_ns`` are those of an endpoint's calls, in its own process.
    """

    service: str
    name: str
    route: str
    count: int
    errors: int
    duration_ns: int
    p50_ns: int
    p95_ns: int
    p99_ns: int
    queries: int = 0
    query_ns: int = 0


class OperationReader(Protocol):
    """Sums over many spans; ranges are taken in whole minutes. Most time spent first."""

    def endpoints(self, since_ns: int, until_ns: int) -> tuple[OperationStats, ...]:
        """What processes begin, by service and name: requests, tasks, commands, what beat sends."""
        ...

    def statements(self, since_ns: int, until_ns: int) -> tuple[OperationStats, ...]:
        """Database statements; ``name`` is the statement, ``route`` empty."""
        ...


class MetricSink(Protocol):
    """Where a host's sums go, once an interval, on the worker thread of the elected process."""

    def take(self, data: Sequence[ResourceMetrics]) -> None:
        """Take sums of the host, one entry a role; never raises, returns soon."""
        ...


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which log records; every condition given must hold. Newest first, ``limit`` a page.

    ``min_severity`` is a severity number of OpenTelemetry's. ``logger`` may end in ``*``. ``text``
    is words that all occur in the record's texts and numbers; a word may end in ``*``.
    ``attributes`` must be equal as text (1 and "1" are). ``cursor`` comes from the page before.
    """

    since_ns: int | None = None
    until_ns: int | None = None
    service: str | None = None
    min_severity: int | None = None
    logger: str | None = None
    event: str | None = None
    trace_id: str | None = None
    text: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class LogRow:
    """One log record. ``key`` is the reader's own: it names the record in a permalink.

    ``event`` is the event's name (``named``) or the message; ``level`` the text the caller's
    library uses. ``body`` is what the record says where that isn't ``event``, else None.
    """

    key: str
    time_ns: int
    severity_number: int
    level: str
    event: str
    logger: str
    service: str
    trace_id: str = ""
    span_id: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    resource: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    named: bool = False


@dataclass(frozen=True, slots=True)
class LogPage:
    """Records; ``cursor`` asks for the next page (older ones, or those that arrived later)."""

    rows: tuple[LogRow, ...]
    cursor: str | None = None
    partial: str = ""


class LogReader(Protocol):
    """Where logs are read from. Every answer is bounded in time and rows."""

    def list_logs(self, query: LogQuery) -> LogPage:
        """One page of what ``query`` asks for, newest first."""
        ...

    def logs_since(self, cursor: str | None, limit: int = 2000) -> LogPage:
        """What arrived after ``cursor``, in the order of arrival; None: only where to go on from.

        A backend may repeat records; it must not leave any out.
        """
        ...

    def logs_around(self, key: str, before: int = 20, after: int = 20) -> LogPage:
        """The record with ``key`` between its neighbours of the same service, oldest first.

        Empty, and ``partial`` says so, where the record is no longer kept.
        """
        ...


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """A metric there are points of."""

    name: str
    unit: str
    description: str
    kind: Kind
    attribute_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """Points of one metric between two times, inclusive; ``attributes`` must be equal as text.

    ``step_ns`` is the least distance of points: the last one in each step is returned; where a sum
    began anew in it, also the last one of before; of a counter or histogram that has none in the
    range's first step, also its first one, where that is kept. A series may lack points while its
    value stays the same, for five minutes at most. Of more than ``max_series`` those with the
    largest values are returned.
    """

    name: str
    since_ns: int
    until_ns: int
    step_ns: int = 0
    service: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    max_series: int = 500


@dataclass(frozen=True, slots=True)
class MetricSeries:
    """One series' cumulative points by time; ``instance`` is its ``service.instance.id``.

    Sums begin anew where ``start_ns`` of a point is another than that of the one before.
    """

    service: str
    instance: str
    attributes: Attributes
    points: tuple[Point, ...]
    bounds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricAnswer:
    """The series that match."""

    info: MetricInfo | None
    series: tuple[MetricSeries, ...]
    partial: str = ""


class MetricReader(Protocol):
    """Where metrics are read from. Every answer is bounded in time and rows."""

    def list_metrics(self) -> tuple[MetricInfo, ...]:
        """What there is, by name."""
        ...

    def series_count(self, query: MetricQuery) -> int:
        """How many series match, whatever ``max_series`` says."""
        ...

    def read(self, query: MetricQuery) -> MetricAnswer:
        """The points that ``query`` asks for."""
        ...
