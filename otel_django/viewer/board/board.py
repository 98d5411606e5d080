"""The whole dashboard, made once for all who look at it within some seconds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from otel_django import guard
from otel_django.backends.embedded_session import one_connection
from otel_django.clock import SYSTEM_CLOCK
from otel_django.contracts import LogQuery
from otel_django.errors import ReadError
from otel_django.health import active as health
from otel_django.health.results import overall, score
from otel_django.log_record import ERROR
from otel_django.metrics import active as metrics
from otel_django.viewer.board.alerts import active, subject_of_alerts
from otel_django.viewer.board.cards import cards
from otel_django.viewer.board.figures import Figure, Subject, worst
from otel_django.viewer.board.kept import HOUR_NS, Kept
from otel_django.viewer.board.measures import judged
from otel_django.viewer.board.parts import PARTS, SITE, checked_by
from otel_django.viewer.readers import readers_of
from otel_django.web.alert_rules import rules_of
from otel_django.web.cached_answers import KeptAWhile
from otel_django.web.dashboard import measured
from otel_django.web.metric_sums import Sums, host_sums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_django.alerts.rules import Rule, Severity
    from otel_django.conf import Settings
    from otel_django.contracts import LogRow
    from otel_django.health.results import CheckReport, Report
    from otel_django.viewer.board.alerts import Active
    from otel_django.viewer.board.cards import Card
    from otel_django.viewer.board.figures import State
    from otel_django.viewer.board.measures import Measure
    from otel_django.viewer.board.parts import Part
    from otel_django.viewer.readers import Readers
    from otel_django.web.dashboard import Measured

KEPT_S: Final = 5.0
IN_A_ROW: Final = 3
"""Figures of a part that stand in its row."""
NEWEST: Final = 8
NO_STORE: Final = (
    "Nothing is kept here: figures are of this host, percentiles and shares of all the time since "
    "its processes began. OTEL_DJANGO_STORE=on keeps courses, rates and changes"
)
_looks: Final = KeptAWhile[object, "Board"](SYSTEM_CLOCK, KEPT_S)


@dataclass(frozen=True, slots=True)
class Board:
    """``notes`` say what is missing. ``errors`` are log records, the newest first."""

    now_ns: int
    report: Report
    state: State
    subjects: tuple[Subject, ...]
    alerts: tuple[Active, ...]
    cards: tuple[Card, ...]
    errors: tuple[LogRow, ...]
    notes: tuple[str, ...]
    measured: Measured
    keeps: bool

    @property
    def score(self) -> float | None:
        """Of all checks, from 0 to 100."""
        return score(self.report.checks)

    @property
    def ill(self) -> list[Subject]:
        """The worst first."""
        ill = (each for each in self.subjects if each.state in {"degraded", "unhealthy"})
        return sorted(ill, key=lambda each: -each.look.badness)

    def subject(self, name: str) -> Subject | None:
        """One of ``subjects``."""
        return next((each for each in self.subjects if each.name == name), None)


def look(settings: Settings, service: str | None = None) -> Board:
    """At one service, or all of them; not older than five seconds, or as new as it can be had."""
    key = (settings, service, health.engine(), metrics.host())
    return _looks.get(key, lambda: _made(settings, service, SYSTEM_CLOCK.now_ns()))


def forget() -> None:
    """Something was changed here."""
    _looks.forget()


@one_connection()
def _made(settings: Settings, service: str | None, now_ns: int) -> Board:
    report = health.engine().report("all")
    readers = readers_of(settings)
    making = _Making(settings, service, now_ns, report, readers)
    alerts = active(settings.database, making.rules, making.notes)
    subjects = [making.subject(part) for part in PARTS]
    subjects.append(subject_of_alerts(alerts, making.checks_of("alerts")))
    subjects = [_with_alerts(each, alerts) for each in subjects]
    if making.kept is not None and making.kept.partial:
        making.notes.append(making.kept.partial)
    return Board(
        now_ns,
        report,
        _whole(report, subjects),
        tuple(subjects),
        alerts,
        cards(settings, readers, now_ns, making.notes),
        making.errors(),
        tuple(dict.fromkeys(making.notes)),
        measured(making.sums, now_ns, {check.name: check.status for check in report.checks}),
        readers is not None,
    )


def _whole(report: Report, subjects: Sequence[Subject]) -> State:
    """As bad as what the site can't do without, and as its worst alert."""
    ill = any(each.state in {"degraded", "unhealthy"} for each in subjects)
    return worst([report.status, subjects[-1].state, "degraded" if ill else "healthy"])


def _with_alerts(subject: Subject, alerts: Sequence[Active]) -> Subject:
    """An alert that fires colours the part that its rule's page is about."""
    firing = [each for each in alerts if each.part == subject.name and each.firing]
    if not firing:
        return subject
    state = worst([subject.state, *(each.badness for each in firing)])
    is_own = subject.why and state == subject.state
    return replace(subject, state=state, why=subject.why if is_own else firing[0].message)


class _Making:
    """What all parts are made of."""

    def __init__(
        self,
        settings: Settings,
        service: str | None,
        now_ns: int,
        report: Report,
        readers: Readers | None,
    ) -> None:
        self.notes: list[str] = []
        self.kept = None if readers is None else Kept(readers.metrics, service, now_ns)
        self.sums = self._sums()
        self._report = report
        self._readers = readers
        self._service = service
        self._now_ns = now_ns
        self.rules = rules_of(settings).rules
        if readers is None:
            self.notes.append(NO_STORE)

    def checks_of(self, part: str) -> tuple[CheckReport, ...]:
        return tuple(check for check in self._report.checks if checked_by(check.name) == part)

    def subject(self, part: Part) -> Subject:
        """What can't be read leaves the state of its checks."""
        missing = ""
        figures: list[Figure] = [
            Figure(each.name, each.title, each.unit, None) for each in part.measures
        ]
        course = []
        try:
            figures = [self._figure(measure) for measure in part.measures]
            course = self.kept.last_hour(part.measures[0]) if self.kept else []
        except ReadError as error:
            missing = str(error)
        except Exception:
            guard.caught(f"viewer.board.{part.name}")
            missing = "This could not be made; the site's log says more"
        checks = self.checks_of(part.name)
        return Subject(
            part.name,
            part.title,
            _state(part, checks, figures),
            tuple(figures[:IN_A_ROW]),
            tuple(figures[IN_A_ROW:]),
            _why(checks, figures, self.rules, part.measures),
            course,
            part.measures[0].title,
            checks,
            page=part.page,
            missing=missing,
        )

    def errors(self) -> tuple[LogRow, ...]:
        if self._readers is None:
            return ()
        wanted = LogQuery(
            since_ns=self._now_ns - HOUR_NS,
            until_ns=self._now_ns,
            service=self._service,
            min_severity=ERROR,
            limit=NEWEST,
        )
        try:
            return self._readers.logs.list_logs(wanted).rows
        except ReadError as error:
            self.notes.append(f"Error logs: {error}")
            return ()

    def _sums(self) -> Sums:
        try:
            return host_sums()
        except ReadError as error:
            self.notes.append(f"What this host measured: {error}")
            return Sums(())

    def _figure(self, measure: Measure) -> Figure:
        value = before = None
        if self.kept is not None:
            value, before = self.kept.now(measure), self.kept.hour_ago(measure)
        since_start = value is None and self.kept is None
        if since_start:
            value = measure.of_sums(self.sums)
        return Figure(
            measure.name,
            measure.title,
            measure.unit,
            value,
            before,
            judged(measure, value, self.rules),
            measure.worse,
            since_start and value is not None and measure.form != "level",
        )


def _state(part: Part, checks: Sequence[CheckReport], figures: Sequence[Figure]) -> State:
    """A part is as ill as what is worst of it; the site only where it can't do without that."""
    states: list[State] = [each.state for each in figures if each.value is not None]
    if checks:
        states += [overall("all", checks)] if part is SITE else [check.status for check in checks]
    return worst(states)


def _why(
    checks: Sequence[CheckReport],
    figures: Sequence[Figure],
    rules: Mapping[str, Rule],
    measures: Sequence[Measure],
) -> str:
    """The worst that is known, in words."""
    ill = [check for check in checks if check.status in {"degraded", "unhealthy"}]
    for check in sorted(ill, key=lambda check: check.status != "unhealthy"):
        return f"{check.name}: {check.message or check.status}"
    for figure, measure in zip(figures, measures, strict=True):
        if figure.colour:
            rule = rules[measure.rule]
            severity: Severity = "critical" if figure.state == "unhealthy" else "warning"
            limit = f"{rule.threshold(severity).value:g} {rule.unit}"
            return f"{figure.title} {figure.words}: {severity} {_SIDES[rule.operator]} {limit}"
    return ""


_SIDES: Final = {">": "above", ">=": "from", "<": "below", "<=": "up to"}
