"""The test kit: what your code records, as a tree, with assertions.

    with capture() as captured:
        client.get("/checkout/")
    captured.assert_queries(at_most=12)
    captured.assert_no_n_plus_one()

Nothing is sent or stored, no thread is started, and outside ``capture`` nothing is patched.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor

from otel_django import bootstrap, conf, names
from otel_django.bootstrap.process import Runtime
from otel_django.errors import ConfigurationError
from otel_django.metrics import active
from otel_django.metrics.captured import CapturedMetric, differences, summed
from otel_django.tracing import in_charge

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from otel_django.log_record import LogRecord
    from otel_django.metric_points import Metric
    from otel_django.metrics.recorder import Recorder
    from otel_django.tracing.span import Span

_lock = threading.RLock()
_runtime: Runtime | None = None
_captures: list[Captured] = []


@dataclasses.dataclass(frozen=True)
class CapturedEvent:
    """A span event: its name and attributes."""

    name: str
    attributes: Mapping[str, Any]


@dataclasses.dataclass
class CapturedSpan:
    """An ended span, with the captured spans below it.

    ``kind`` is the convention's word in capitals (``SERVER``), ``status`` one of ``UNSET``, ``OK``,
    ``ERROR``; ``duration_s`` is in seconds; ids are hexadecimal.
    """

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_span_id: str | None
    start_ns: int
    duration_s: float
    attributes: Mapping[str, Any]
    status: str
    status_description: str | None
    events: tuple[CapturedEvent, ...]
    links: tuple[str, ...]
    children: list[CapturedSpan] = dataclasses.field(default_factory=list)

    def walk(self) -> Iterator[CapturedSpan]:
        """This span and all below it, in the order they began."""
        yield self
        for child in self.children:
            yield from child.walk()

    def lines(self, depth: int = 0) -> Iterator[str]:
        """The tree as indented text, for messages and debugging."""
        mark = " ✗" if self.status == "ERROR" else ""
        yield f"{'  ' * depth}{self.name}  {self.duration_s * 1000:.1f} ms{mark}"
        for child in self.children:
            yield from child.lines(depth + 1)


@dataclasses.dataclass(frozen=True)
class CapturedLog:
    """A log record as it would leave: ``event`` is the message or the event's name.

    Ids are hexadecimal, empty outside any trace; ``severity_number`` is OpenTelemetry's.
    """

    event: str
    level: str
    severity_number: int
    logger: str
    attributes: Mapping[str, Any]
    trace_id: str
    span_id: str


class Captured:
    """What was recorded inside one ``capture`` block. Look at it after the block."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._logs: list[LogRecord] = []
        self._root_id: int | None = None
        self._recorder: Recorder | None = None
        self._before: tuple[Metric, ...] = ()
        self._after: tuple[Metric, ...] | None = None

    @property
    def spans(self) -> list[CapturedSpan]:
        """All ended spans in the order they began; ``children`` are filled in."""
        return [span for root in self.roots for span in root.walk()]

    @property
    def roots(self) -> list[CapturedSpan]:
        """The spans that began without a captured parent: a tree each."""
        ended = sorted(self._spans, key=lambda span: span._start_time)
        nodes = {span._context[1]: _node(span) for span in ended if not self._is_own_root(span)}
        roots: list[CapturedSpan] = []
        for span in ended:
            node = nodes.get(span._context[1])
            if node is None:
                continue
            parent = nodes.get(span._parent[1]) if span._parent else None
            (roots if parent is None else parent.children).append(node)
        return roots

    def find(self, name: str | None = None, **attributes: object) -> list[CapturedSpan]:
        """The spans of this name with these attributes (``__`` stands for a dot)."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        return [
            span
            for span in self.spans
            if (name is None or span.name == name)
            and all(span.attributes.get(key) == value for key, value in wanted.items())
        ]

    def one(self, name: str | None = None, **attributes: object) -> CapturedSpan:
        """The only span that ``find`` finds.

        Raises:
            AssertionError: when there is none or more than one; the text shows what there is.
        """
        found = self.find(name, **attributes)
        if len(found) != 1:
            raise AssertionError(
                f"{len(found)} spans match name={name!r} {attributes!r}; captured:\n{self}"
            )
        return found[0]

    @property
    def logs(self) -> list[CapturedLog]:
        """The log records of level info and above, in their order."""
        return [_log(record) for record in self._logs]

    @property
    def metrics(self) -> list[CapturedMetric]:
        """What was measured, by metric and attributes: by how much sums grew, gauges' last values.

        Empty in a process that is observed without metrics.
        """
        if self._recorder is None:
            return []
        after = self._recorder.collect() if self._after is None else self._after
        return differences(self._before, after)

    def metric(self, name: str, **attributes: object) -> CapturedMetric:
        """What was measured of this metric with these attributes (``__`` stands for a dot).

        Several series are added up.

        Raises:
            AssertionError: when nothing was; the text shows what there is.
        """
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        metrics = self.metrics
        found = [metric for metric in metrics if metric.name == name and metric.has(wanted)]
        if not found:
            listed = "\n".join(f"  {metric}" for metric in metrics) or "  nothing"
            raise AssertionError(f"nothing was measured of {name} {wanted!r}; captured:\n{listed}")
        return summed(found)

    @property
    def queries(self) -> list[CapturedSpan]:
        """The database statements (not connects, commits or rollbacks)."""
        return [span for span in self.spans if names.DB_QUERY_TEXT in span.attributes]

    def assert_queries(self, exactly: int | None = None, *, at_most: int | None = None) -> None:
        """The number of statements is ``exactly`` this, or ``at_most`` this.

        Raises:
            AssertionError: otherwise; the text lists the statements.
        """
        count = len(self.queries)
        wrong = (exactly is not None and count != exactly) or (
            at_most is not None and count > at_most
        )
        if wrong:
            wanted = f"{exactly}" if exactly is not None else f"at most {at_most}"
            listed = "\n".join(f"  {span.attributes[names.DB_QUERY_TEXT]}" for span in self.queries)
            raise AssertionError(f"{count} queries ran, {wanted} expected:\n{listed}")

    def assert_no_n_plus_one(self) -> None:
        """No statement was repeated ``OTEL_DJANGO_N_PLUS_ONE`` times below one request.

        Raises:
            AssertionError: otherwise; the text names statement, count, file and line.
        """
        found = [
            event
            for span in self._spans
            for event in span.events
            if event.name == names.N_PLUS_ONE_EVENT
        ]
        if found:
            raise AssertionError("\n".join(_n_plus_one(event.attributes or {}) for event in found))

    def __str__(self) -> str:
        return "\n".join(line for root in self.roots for line in root.lines()) or "nothing"

    def _is_own_root(self, span: Span) -> bool:
        return span._context[1] == self._root_id


def _n_plus_one(attributes: Mapping[str, Any]) -> str:
    place = attributes.get(names.CODE_FILE_PATH)
    where = f" at {place}:{attributes.get(names.CODE_LINE_NUMBER)}" if place else ""
    return (
        f"N+1: {attributes.get(names.N_PLUS_ONE_COUNT)} times{where}: "
        f"{attributes.get(names.DB_QUERY_TEXT)}"
    )


def _node(span: Span) -> CapturedSpan:
    context = span._context
    return CapturedSpan(
        name=span._name,
        kind=span._kind.name,
        trace_id=f"{context[0]:032x}",
        span_id=f"{context[1]:016x}",
        parent_span_id=f"{span._parent[1]:016x}" if span._parent else None,
        start_ns=span._start_time,
        duration_s=(span._end_time - span._start_time) / 1e9,
        attributes=dict(span._attributes),
        status=span._status.status_code.name,
        status_description=span._status.description,
        events=tuple(
            CapturedEvent(event.name, dict(event.attributes or {})) for event in span.events
        ),
        links=tuple(f"{link.context.trace_id:032x}" for link in span.links),
    )


def _log(record: LogRecord) -> CapturedLog:
    return CapturedLog(
        event=record.body,
        level=record.severity_text.lower(),
        severity_number=record.severity_number,
        logger=record.scope_name,
        attributes=dict(record.attributes),
        trace_id=f"{record.trace_id:032x}" if record.trace_id else "",
        span_id=f"{record.span_id:016x}" if record.span_id else "",
    )


def _collect(span: Span) -> None:
    for captured in _captures:
        captured._spans.append(span)


def _collect_log(record: LogRecord) -> None:
    for captured in _captures:
        captured._logs.append(record)


def _running(settings: conf.Settings) -> Runtime:
    """The process's one capturing runtime (the API takes a provider only once)."""
    global _runtime
    if _runtime is None:
        host = in_charge.as_host(in_charge.provider_in_charge())
        _runtime = _own(settings) if host is None else _guest(settings, host)
        _runtime.records.put = _collect_log
    return _runtime


def _own(settings: conf.Settings) -> Runtime:
    from opentelemetry import trace

    runtime = Runtime(settings, collect=_collect)
    trace.set_tracer_provider(runtime.provider)
    return runtime


def _guest(settings: conf.Settings, host: TracerProvider) -> Runtime:
    """Beside a provider of the site's, whose spans are captured as they leave."""
    from otel_django.bootstrap.guest import GuestRuntime

    runtime = GuestRuntime(settings, host, collect=_collect)
    runtime.add_span_processor(_Collecting())
    return runtime


class _Collecting(SpanProcessor):
    """Lets captures see what a process's own runtime records."""

    def on_end(self, span: Any) -> None:
        _collect(span)


def _observed(changes: dict[str, Any]) -> Runtime | None:
    """The runtime of a process that is observed anyway; captures only look on there."""
    global _runtime
    running = bootstrap.runtime()
    if running is None:
        return None
    if changes:
        raise ConfigurationError(
            "capture() can't change settings where otel_django is running already: "
            "set OTEL_DJANGO_ENABLED=false for the tests, or leave the changes out"
        )
    if _runtime is not running:
        running.add_span_processor(_Collecting())
        running.records.tell(_collect_log)
        _runtime = running
    return running


def _prepared(changes: dict[str, Any]) -> Runtime:
    """A runtime that captures, patched with the settings of this block."""
    observed = _observed(changes)
    if observed is not None:
        return observed
    changes = {"strict": True, "traces_sampler": "parentbased_always_on", **changes}
    settings = dataclasses.replace(conf.from_django(), **changes)
    runtime = _running(settings)
    runtime.uninstall()
    runtime.settings = settings
    runtime.install()
    return runtime


@contextlib.contextmanager
def capture(**changes: Any) -> Iterator[Captured]:
    """Record what runs inside the block; ``changes`` are fields of ``conf.Settings`` to differ in.

    Queries outside any request count too. Blocks can nest; each gets all that happens inside it.

    Raises:
        ConfigurationError: for ``changes`` in a process that is observed anyway.
    """
    from opentelemetry.trace import SpanKind

    from otel_django.tracing import current
    from otel_django.tracing.span import Span

    captured = Captured()
    with _lock:
        runtime = _prepared(changes)
        captured._recorder = recorder = active.recorder()
        captured._before = () if recorder is None else recorder.collect()
        _captures.append(captured)
    root = runtime.provider.tracer(names.SCOPE).begin_local_root("capture", SpanKind.INTERNAL, {})
    if isinstance(root, Span):
        root.local_root().ambient = True
    captured._root_id = root.get_span_context().span_id
    token = current.attach(root)
    try:
        yield captured
    finally:
        current.detach(token)
        root.end()
        with _lock:
            captured._after = None if recorder is None else recorder.collect()
            _captures.remove(captured)
            if not _captures and runtime is not bootstrap.runtime():
                runtime.uninstall()
