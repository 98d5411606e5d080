"""The state of the whole system: a row for each part of it, and what is behind each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.http import HttpResponseRedirect

from otel_django.viewer.board import exporting, tables, trends
from otel_django.viewer.board.board import forget, look
from otel_django.viewer.board.kept import Kept
from otel_django.viewer.board.parts import PARTS, Part
from otel_django.viewer.check_rows import Row
from otel_django.viewer.live import Live
from otel_django.viewer.log_lines import Line
from otel_django.viewer.page import Context, page
from otel_django.viewer.visit import Missing
from otel_django.web import alert_decisions, alert_records, csrf
from otel_django.web.alert_decisions import ACKNOWLEDGE, Decider
from otel_django.web.permissions import has_permission, user_of

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase

    from otel_django.viewer.board.board import Board
    from otel_django.viewer.board.figures import Subject, Table
    from otel_django.viewer.board.trends import Trend
    from otel_django.viewer.visit import Visit

EVERY_S: Final = 5
ALERTS: Final = Part("alerts", "Alerts", "", (), ())
_ANSWERS: Final = {
    "healthy": "All is well",
    "pending": "Not everything has answered yet",
    "degraded": "Degraded",
    "unhealthy": "Unhealthy",
    "unknown": "Nothing is known",
}


def acknowledge(visit: Visit, **named: Any) -> HttpResponseBase:
    """Somebody takes care of an alert; the page says by whom."""
    request, settings = visit.request, visit.settings
    if not has_permission(request, ACKNOWLEDGE):
        raise Missing("You may not acknowledge alerts: that needs the permission for it.")
    fingerprint = str(request.POST.get("acknowledge", ""))[:64]
    decider = Decider(
        settings.database, str(user_of(request).get_username()), visit.now_ns // 1_000_000
    )
    found = alert_records.occurrences(settings.database, fingerprint, 1)
    alert_decisions.acknowledge(decider, found, str(request.POST.get("note", "")))
    forget()
    back = "dashboard" in request.POST
    return HttpResponseRedirect(visit.url("dashboard") if back else visit.here())


@page("dashboard", "Dashboard")
def dashboard(visit: Visit) -> Context:
    """One line, then a row for each part, alerts, the site's own metrics and the newest errors."""
    board = look(visit.settings, visit.service)
    return {
        "board": board,
        "answer": _ANSWERS[board.state],
        "lines": [Line(row, visit) for row in board.errors],
        **_common(visit, board),
    }


@page("part", "Dashboard", acknowledge)
def part(visit: Visit, part: str) -> Context | HttpResponseBase:
    """One part: its figures, checks and trends; as CSV or JSON with ``export``."""
    board = look(visit.settings, visit.service)
    subject, about = board.subject(part), _part(part)
    if subject is None or about is None:
        raise Missing("The dashboard has no such part.")
    found = [] if visit.text("only") == "now" else _trends(visit, about, subject)
    export = visit.text("export")
    if export in exporting.FORMS:
        return exporting.file(export, subject, found, visit.now_ns)
    return {
        **_common(visit, board, part, only="now"),
        "title": subject.title,
        "board": board,
        "subject": subject,
        "checks": [Row(check, visit, []) for check in subject.checks],
        "tables": _tables(visit, part),
        "trends": [(f"trend-{number}", each, each.drawn) for number, each in enumerate(found)],
    }


def _part(name: str) -> Part | None:
    return next((each for each in (*PARTS, ALERTS) if each.name == name), None)


def _common(
    visit: Visit, board: Board, part: str = "alerts", only: str | None = None
) -> dict[str, Any]:
    """It goes on by itself unless asked not to: that is what it is for."""
    on = visit.text("live") != "0"
    may = has_permission(visit.request, ACKNOWLEDGE)
    wanted = [each for each in board.alerts if part in {"alerts", each.part}]
    return {
        "live": Live(on, visit.here(live="0" if on else None), visit.here(only=only)),
        "every_s": EVERY_S,
        "alerts": wanted,
        "csrf_token": csrf.token(visit.request) if may and wanted else "",
    }


def _tables(visit: Visit, name: str) -> list[Table]:
    if visit.found is None:
        return []
    kept = Kept(visit.found.metrics, visit.service, visit.now_ns)
    return visit.parts.ask("its tables", lambda: tables.tables(name, kept, visit)) or []


def _trends(visit: Visit, about: Part, subject: Subject) -> list[Trend]:
    """From the store as far back as that goes, from snapshots where those go further."""
    found: list[Trend] = []
    if visit.found is not None:
        kept = Kept(visit.found.metrics, visit.service, visit.now_ns)
        found += trends.of_store(about, kept, visit.range, visit.parts)
    whole = {trend.name for trend in found if not trend.late_ns}
    wanted = {name: told for name, told in trends.titles(about).items() if name not in whole}
    wanted |= {f"check.{check.name}": (check.name, "") for check in subject.checks}
    wanted |= {"score": ("Score", "")} if about.name == "site" else {}
    kept_long = trends.of_snapshots(wanted, visit.range, visit.settings.database, visit.parts)
    return trends.together([*found, *kept_long])
