"""A part of the dashboard to take along: its figures, and its trends step by step."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from django.http import HttpResponse

from otel_django.cli import csv_rows
from otel_django.viewer.board.document import part
from otel_django.web.json_endpoint import answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_django.viewer.board.figures import Subject
    from otel_django.viewer.board.trends import Trend

FORMS: Final = ("csv", "json")
COLUMNS: Final = ("time", "name", "unit", "value")


def file(form: str, subject: Subject, trends: Sequence[Trend], now_ns: int) -> HttpResponse:
    """Its name says of what and when it was made."""
    made = datetime.fromtimestamp(now_ns // 10**9, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    as_csv = form == "csv"
    content = _csv(trends) if as_csv else _json(subject, trends, now_ns)
    return HttpResponse(
        content,
        content_type="text/csv; charset=utf-8" if as_csv else "application/json",
        headers={
            "Content-Disposition": f'attachment; filename="dashboard-{subject.name}-{made}.{form}"'
        },
    )


def _points(trend: Trend) -> Iterator[tuple[str, float]]:
    for number, value in enumerate(trend.values):
        if value is not None:
            yield csv_rows.moment(trend.steps.start_ns + number * trend.steps.step_ns), value


def _csv(trends: Sequence[Trend]) -> str:
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(COLUMNS)
    for trend in trends:
        for time, value in _points(trend):
            writer.writerow([time, csv_rows.text(trend.name), trend.unit, value])
    return lines.getvalue()


def _json(subject: Subject, trends: Sequence[Trend], now_ns: int) -> bytes:
    document: dict[str, Any] = {
        "time": csv_rows.moment(now_ns),
        **part(subject),
        "trends": [
            {
                "name": trend.name,
                "unit": trend.unit,
                "points": [{"time": time, "value": value} for time, value in _points(trend)],
            }
            for trend in trends
        ],
    }
    return answer(document).body
