"""What is read from where, as the settings say.

What no backend that is named answers raises UnansweredError: pages say so in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from otel_django.errors import UnansweredError

if TYPE_CHECKING:
    from otel_django.backends.embedded_kept import EmbeddedKeptReader
    from otel_django.backends.loki import LokiReader
    from otel_django.backends.remote import Remote
    from otel_django.conf import Settings
    from otel_django.contracts import (
        LogReader,
        MetricReader,
        OperationReader,
        OperationStats,
        SpanPage,
        TraceDetail,
        TracePage,
        TraceQuery,
        TraceReader,
    )
    from otel_django.roll_ups import (
        EdgeReader,
        ErrorReader,
        LogSummaryReader,
        ReleaseReader,
        TimelineReader,
    )

Backend = Literal["jaeger", "loki", "prometheus"]
_HOLDS: Final = {"jaeger": "traces", "loki": "logs", "prometheus": "metrics"}


class Unanswered:
    """Stands for any reader: each question is an UnansweredError that says why."""

    def __init__(self, why: str) -> None:
        self._why = why

    def __getattr__(self, name: str) -> Any:
        def refuse(*_: Any, **__: Any) -> NoReturn:
            raise UnansweredError(self._why)

        return refuse


class AllKept:
    """As an ``EmbeddedKeptReader``, of backends that don't say how far back they go."""

    def since_ns(self) -> int | None:
        """None: all there ever was, as far as is known."""
        return None


class Traces:
    """A ``TraceReader`` and an ``OperationReader`` of different backends."""

    def __init__(self, traces: TraceReader, operations: OperationReader) -> None:
        self._traces = traces
        self._operations = operations

    def list_traces(self, query: TraceQuery) -> TracePage:
        return self._traces.list_traces(query)

    def get_trace(self, trace_id: str) -> TraceDetail | None:
        return self._traces.get_trace(trace_id)

    def spans_since(self, cursor: str | None, limit: int = 2000) -> SpanPage:
        return self._traces.spans_since(cursor, limit)

    def services(self) -> tuple[str, ...]:
        return self._traces.services()

    def endpoints(self, since_ns: int, until_ns: int) -> tuple[OperationStats, ...]:
        return self._operations.endpoints(since_ns, until_ns)

    def statements(self, since_ns: int, until_ns: int) -> tuple[OperationStats, ...]:
        return self._operations.statements(since_ns, until_ns)


class ReadFrom:
    """Makes readers of what ``READ_FROM`` names, and else of the store; cheap to make."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._remotes: dict[Backend, Remote] = {}

    @property
    def kind(self) -> str:
        """For people."""
        named = [name.capitalize() for name in self._settings.read_from]
        if self._settings.store is not None and len(named) < len(_HOLDS):
            named.append("embedded store")
        return ", ".join(named)

    def traces(self) -> Traces:
        """Traces, and sums of them: these from Prometheus where Jaeger has the traces."""
        operations: OperationReader = self._of_calls()
        remote = self._remote("jaeger")
        if remote is not None:
            from otel_django.backends.jaeger import JaegerReader

            return Traces(JaegerReader(remote), operations)
        if self._settings.store is None:
            return Traces(self._unnamed("jaeger"), operations)
        from otel_django.backends.embedded import EmbeddedReader

        embedded = EmbeddedReader(self._settings.store)
        return Traces(embedded, embedded)

    def timeline(self) -> TimelineReader:
        """Goes with ``traces``."""
        if self._settings.store is None or "jaeger" in self._settings.read_from:
            calls: TimelineReader = self._of_calls()
            return calls
        from otel_django.backends.embedded_timeline import EmbeddedTimelineReader

        return EmbeddedTimelineReader(self._settings.store)

    def _of_calls(self) -> Any:
        remote = self._remote("prometheus")
        if remote is None:
            return Unanswered(
                "Jaeger has single traces, no sums of them: name a Prometheus in "
                "OTEL_DJANGO_READ_FROM, too"
            )
        from otel_django.backends.prometheus_calls import PrometheusCallsReader

        return PrometheusCallsReader(remote)

    def logs(self) -> LogReader:
        """Log records."""
        loki = self._loki()
        if loki is not None:
            return loki
        if self._settings.store is None:
            missing: LogReader = self._unnamed("loki")
            return missing
        from otel_django.backends.embedded_logs import EmbeddedLogReader

        return EmbeddedLogReader(self._settings.store)

    def log_summary(self) -> LogSummaryReader:
        """Goes with ``logs``."""
        loki = self._loki()
        if loki is not None:
            from otel_django.backends.loki_summary import LokiSummaryReader

            return LokiSummaryReader(loki)
        if self._settings.store is None:
            missing: LogSummaryReader = self._unnamed("loki")
            return missing
        from otel_django.backends.embedded_log_summary import EmbeddedLogSummaryReader

        return EmbeddedLogSummaryReader(self._settings.store)

    def errors(self) -> ErrorReader:
        """Goes with ``logs``: exceptions are log records."""
        loki = self._loki()
        if loki is not None:
            from otel_django.backends.loki_errors import LokiErrorReader

            return LokiErrorReader(loki)
        if self._settings.store is None:
            missing: ErrorReader = self._unnamed("loki")
            return missing
        from otel_django.backends.embedded_errors import EmbeddedErrorReader

        return EmbeddedErrorReader(self._settings.store)

    def metrics(self) -> MetricReader:
        """Metrics."""
        remote = self._remote("prometheus")
        if remote is not None:
            from otel_django.backends.prometheus import PrometheusReader

            return PrometheusReader(remote)
        if self._settings.store is None:
            missing: MetricReader = self._unnamed("prometheus")
            return missing
        from otel_django.backends.embedded_metrics import EmbeddedMetricReader

        return EmbeddedMetricReader(self._settings.store)

    def edges(self) -> EdgeReader:
        """Goes with ``traces``."""
        remote = self._remote("jaeger")
        if remote is not None:
            from otel_django.backends.jaeger import JaegerReader
            from otel_django.backends.jaeger_edges import JaegerEdgeReader

            return JaegerEdgeReader(JaegerReader(remote))
        if self._settings.store is None:
            missing: EdgeReader = self._unnamed("jaeger")
            return missing
        from otel_django.backends.embedded_edges import EmbeddedEdgeReader

        return EmbeddedEdgeReader(self._settings.store)

    def releases(self) -> ReleaseReader:
        """Goes with ``metrics``."""
        remote = self._remote("prometheus")
        if remote is not None:
            from otel_django.backends.prometheus_releases import PrometheusReleaseReader

            return PrometheusReleaseReader(remote)
        if self._settings.store is None:
            missing: ReleaseReader = self._unnamed("prometheus")
            return missing
        from otel_django.backends.embedded_releases import EmbeddedReleaseReader

        return EmbeddedReleaseReader(self._settings.store)

    def kept(self) -> EmbeddedKeptReader | AllKept:
        """How far back goes what all is read from."""
        if self._settings.store is None or self._settings.read_from:
            return AllKept()
        from otel_django.backends.embedded_kept import EmbeddedKeptReader

        return EmbeddedKeptReader(self._settings.store)

    def _loki(self) -> LokiReader | None:
        remote = self._remote("loki")
        if remote is None:
            return None
        from otel_django.backends.loki import LokiReader

        return LokiReader(remote)

    def _unnamed(self, backend: Backend) -> Any:
        return Unanswered(
            f"No {_HOLDS[backend]} can be read: OTEL_DJANGO_READ_FROM names no "
            f"{backend.capitalize()}, and there is no embedded store"
        )

    def _remote(self, backend: Backend) -> Remote | None:
        """One for all readers."""
        settings = self._settings
        url = settings.read_from.get(backend)
        if url is None or backend in self._remotes:
            return self._remotes.get(backend)
        from otel_django.backends.remote import Remote

        headers = dict(getattr(settings, f"read_from_headers_{backend}"))
        if settings.read_from_tenant and backend != "jaeger":
            headers.setdefault("x-scope-orgid", settings.read_from_tenant)
        self._remotes[backend] = Remote(
            backend.capitalize(),
            url,
            headers=headers,
            certificate=settings.read_from_certificate,
            timeout_s=settings.read_from_timeout_s,
        )
        return self._remotes[backend]
