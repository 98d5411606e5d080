"""What telemetry says of health checks: spans, metrics and events.

The process that runs a check tells how long that took and what has changed; what is known of all
checks is told by one process a host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.trace import SpanKind

from otel_django import guard, names
from otel_django import metric_definitions as metrics
from otel_django.health import active
from otel_django.health.results import VALUES, CheckReport, Result, score, worst
from otel_django.host_environment import current_process
from otel_django.instrumentation.process_metrics import Observed, Seen, Values
from otel_django.log_record import ERROR, INFO, WARN
from otel_django.logs import active as logs
from otel_django.metrics import active as measuring
from otel_django.tracing.span import Span

if TYPE_CHECKING:
    from collections.abc import Collection

    from opentelemetry.trace import Span as ApiSpan

    from otel_django.conf import Settings
    from otel_django.health.check import Registered
    from otel_django.health.results import Group, State
    from otel_django.metrics.instruments import Histogram
    from otel_django.metrics.recorder import Recorder
    from otel_django.tracing.tracer import Tracer

FRESH_S: Final = 60.0
"""What was found longer ago isn't told as a metric any more."""
_ALWAYS_ASKS: Final = "run_monitoring"
"""A command whose runs of checks are no traces: all day long they would hide those of the site."""
_SEVERITIES: Final = {"healthy": INFO, "degraded": WARN, "unhealthy": ERROR}


class HealthTelling(Observed):
    """An instrumentation, and the ``Teller`` of this process's engine."""

    DEFINITIONS = (metrics.HEALTH_CHECK_STATUS, metrics.HEALTH_SCORE)

    def __init__(self) -> None:
        super().__init__()
        self._tracer: Tracer | None = None
        self._duration: Histogram | None = None

    def measure_with(self, recorder: Recorder) -> None:
        """Measure, too."""
        super().measure_with(recorder)
        self._duration = recorder.histogram(metrics.HEALTH_CHECK_DURATION)

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Be told from now on; a second call only changes the tracer."""
        super().install(tracer, settings)
        self._tracer = None if current_process().command == _ALWAYS_ASKS else tracer
        active.set_teller(self)

    def uninstall(self) -> None:
        """Be told nothing any more."""
        super().uninstall()
        self._tracer = None
        active.set_teller(None)

    # --- while a check runs

    @contextmanager
    def running(self, check: Registered) -> Iterator[Callable[[tuple[Result, ...]], object]]:
        """A span for the block, a trace by itself: it leaves if the check fails or is slow."""
        group = most_urgent(check.groups)
        span = self._begin(check, group)
        found: list[Result] = []
        began_s = perf_counter()
        try:
            yield found.extend
        finally:
            took_s = perf_counter() - began_s
            with guard.guarded("health.told"):
                recorded = span if isinstance(span, Span) else None
                if self._duration is not None:
                    self._duration.record(took_s, (check.name, group), recorded)
                if recorded is not None:
                    _end(recorded, CheckReport(check.name, worst(found), False, tuple(found)))

    def _begin(self, check: Registered, group: Group) -> ApiSpan | None:
        if self._tracer is None:
            return None
        return self._tracer.begin_local_root(
            f"{names.HEALTH_SPAN} {check.name}",
            SpanKind.INTERNAL,
            {
                names.HEALTH_CHECK_NAME: check.name,
                names.HEALTH_CHECK_GROUP: group,
                names.HEALTH_CHECK_CRITICAL: check.critical,
            },
            sole=True,
        )

    # --- what was found

    def found(self, before: CheckReport | None, after: CheckReport) -> None:
        """Log what has changed."""
        journal = logs.journal()
        if journal is None:
            return
        for change in changes(before, after):
            fields: dict[str, Any] = {
                names.HEALTH_CHECK_NAME: after.name,
                names.HEALTH_CHECK_CRITICAL: after.critical,
                names.HEALTH_CHECK_STATUS_BEFORE: change.before,
                names.HEALTH_CHECK_STATUS: change.after,
            }
            if change.instance:
                fields[names.HEALTH_CHECK_INSTANCE] = change.instance
            if change.message:
                fields[names.MESSAGE] = change.message
            severity = _SEVERITIES[change.after]
            journal.emit(names.HEALTH_CHECK_CHANGED, severity=severity, attributes=fields)

    # --- what is known on this host

    def is_wanted(self) -> bool:
        """Whether this process is the one that tells it."""
        host = measuring.host()
        return host is not None and host.elected

    def look(self) -> Seen:
        """What all checks found last, and the scores of the groups that have any."""
        engine = active.engine()
        last = {each.name: each for each in engine.last() if _is_fresh(each)}
        statuses: dict[Values, float] = {}
        scores: dict[Values, float] = {}
        for check in engine.registry.checks("all"):
            if check.name in last:
                group = most_urgent(check.groups)
                for result in last[check.name].results or (Result(),):
                    statuses[check.name, result.instance or None, group] = VALUES[result.status]
        for group in ("live", "ready", "startup", "all"):
            asked = [last[each.name] for each in engine.registry.checks(group) if each.name in last]
            points = score(asked)
            if points is not None:
                scores[(group,)] = points
        return {metrics.HEALTH_CHECK_STATUS: statuses, metrics.HEALTH_SCORE: scores}


class Change(NamedTuple):
    """Of one instance of a check; ``instance`` is empty for all of it."""

    instance: str
    before: State
    after: State
    message: str


def changes(before: CheckReport | None, after: CheckReport) -> list[Change]:
    """What is worse or better than before; at the beginning all was well.

    Where none of the instances is another than before, and the check is (instances came or went),
    that is one change.
    """
    known = {} if before is None else {each.instance: each.status for each in before.results}
    whole: State = "healthy" if before is None else before.status
    found = [
        Change(each.instance, was, each.status, each.message)
        for each in after.results
        if (was := known.get(each.instance, "healthy" if each.instance else whole)) != each.status
    ]
    if not found and whole != after.status:
        return [Change("", whole, after.status, after.message)]
    return found


def most_urgent(groups: Collection[Group]) -> Group:
    """The one to name where there is room for one only."""
    urgent: tuple[Group, ...] = ("live", "ready", "startup")
    return next((group for group in urgent if group in groups), "all")


def _is_fresh(report: CheckReport) -> bool:
    return report.age_s is not None and report.age_s <= FRESH_S


def _end(span: Span, report: CheckReport) -> None:
    span.note(names.HEALTH_CHECK_STATUS, report.status)
    if report.status == "unhealthy":
        span.fail(report.status, span._tracer.normaliser.redactor.text(report.message))
    span.end()
