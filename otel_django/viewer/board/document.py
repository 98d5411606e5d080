"""The dashboard as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_django.health.report_json import timestamp
from otel_django.web.dashboard import health_of

if TYPE_CHECKING:
    from otel_django.contracts import LogRow
    from otel_django.viewer.board.alerts import Active
    from otel_django.viewer.board.board import Board
    from otel_django.viewer.board.cards import Card
    from otel_django.viewer.board.figures import Figure, Subject
    from otel_django.web.dashboard import (
        ActiveAlert,
        CustomCard,
        Dashboard,
        ErrorRecord,
        FigureNow,
        Part,
    )

_LONGEST: Final = 500


def document(board: Board) -> Dashboard:
    """All of a board."""
    return {
        **board.measured,
        "health": health_of(board.report),
        "timestamp": timestamp(board.now_ns),
        "status": board.state,
        "parts": [part(each) for each in board.subjects],
        "alerts": [_alert(each) for each in board.alerts],
        "custom": [_card(each) for each in board.cards],
        "errors": [_error(each) for each in board.errors],
        "missing": list(board.notes),
    }


def part(subject: Subject) -> Part:
    """One row."""
    return {
        "name": subject.name,
        "title": subject.title,
        "status": subject.state,
        "reason": subject.why,
        "figures": [_figure(each) for each in (*subject.figures, *subject.more)],
        "course": subject.course,
        "checks": {check.name: check.status for check in subject.checks},
        "age_s": None if subject.age_s is None else round(subject.age_s, 3),
        "missing": subject.missing,
    }


def _figure(figure: Figure) -> FigureNow:
    return {
        "name": figure.name,
        "title": figure.title,
        "unit": figure.unit,
        "value": figure.value,
        "hour_ago": figure.before,
        "status": figure.state,
    }


def _alert(alert: Active) -> ActiveAlert:
    return {
        "fingerprint": alert.fingerprint,
        "name": alert.name,
        "severity": alert.severity,
        "firing": alert.firing,
        "message": alert.message,
        "started": timestamp(alert.since_ns),
        "acknowledged_by": alert.acknowledged_by,
    }


def _card(card: Card) -> CustomCard:
    return {
        "name": card.name,
        "title": card.title,
        "status": card.state,
        "figures": [_figure(each) for each in card.figures],
        "missing": card.problem,
    }


def _error(row: LogRow) -> ErrorRecord:
    return {
        "time": timestamp(row.time_ns),
        "service": row.service,
        "logger": row.logger,
        "event": row.event[:_LONGEST],
        "trace_id": row.trace_id,
    }
