"""A report as a page of HTML that mail programs show, too: tables, no scripts, nothing to load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_django.cli.inert_text import fit, inert
from otel_django.reporting.text import range_words
from otel_django.viewer.templating import render

if TYPE_CHECKING:
    from otel_django.reporting.document import Report, Section

LONGEST_CELL: Final = 160


def html(report: Report) -> str:
    """A whole document."""
    return render(
        "report.html",
        {
            "report": report,
            "range": range_words(report),
            "sections": [_section(each) for each in report.sections],
        },
    )


def _section(section: Section) -> dict[str, Any]:
    return {
        "section": section,
        "columns": section.columns,
        "rows": [
            [(column, fit(inert(column.told(row)), LONGEST_CELL)) for column in section.columns]
            for row in section.rows
        ],
    }
