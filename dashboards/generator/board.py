"""A board: its variables, its links to the others, and its rows of panels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Final, NamedTuple

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

TAG: Final = "otel-django"
COUNTS: Final = "http_server_request_duration_seconds_count|celery_task_executions_total"
"""What a service has that answers requests or runs tasks."""
JOBS: Final = f'label_values({{__name__=~"{COUNTS}"}}, job)'
CHOSEN: Final = f'label_values({{__name__=~"{COUNTS}", job=~"$job"}}, job)'
AFTER_NAMESPACE: Final = r"/^(?:.*\/)?(.+)$/"
"""Prometheus has it before the service's name, in one label; Loki has two."""
OTHER_VARIABLES: Final = {
    "objective": ("Objective", "99.9", "What share of requests has to go well, in percent."),
}


class Board(NamedTuple):
    """``uid`` is in its address and names its file; ``rows`` are headings with their panels."""

    uid: str
    title: str
    about: str
    rows: Sequence[tuple[str, Sequence[Any]]]
    variables: Sequence[str] = ()
    since: str = "now-1h"


def built(board: Board) -> Any:
    """What Grafana's SDK makes of it."""
    made = (
        builders.Dashboard(board.title)
        .uid(f"otel-django-{board.uid}")
        .description(board.about)
        .tags([TAG])
        .timezone("browser")
        .time(board.since, "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .with_variable(_data_source("prometheus", "Metrics"))
        .with_variable(_data_source("loki", "Logs"))
        .with_variable(_services("job", JOBS).label("Service"))
        .with_variable(
            _services("service", CHOSEN).regex(AFTER_NAMESPACE).hide(VariableHide.HIDE_VARIABLE)
        )
        .with_variable(
            builders.TextBoxVariable("site")
            .label("Site")
            .description("Where the site's own pages are: links lead there.")
            .default_value("http://localhost:8000")
        )
        .link(
            builders.DashboardLink("Django")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for name in board.variables:
        label, default, about = OTHER_VARIABLES[name]
        made.with_variable(
            builders.TextBoxVariable(name).label(label).description(about).default_value(default)
        )
    ids = count(1)
    for heading, panels in board.rows:
        made.with_row(builders.Row(heading).id(next(ids)))
        for panel in panels:
            made.with_panel(panel.id(next(ids)))
    return made.build()


def _data_source(kind: str, label: str) -> builders.DatasourceVariable:
    return (
        builders.DatasourceVariable(kind)
        .label(label)
        .type(kind)
        .current(VariableOption(selected=True, text=kind.capitalize(), value=kind))
    )


def _services(name: str, query: str) -> builders.QueryVariable:
    return (
        builders.QueryVariable(name)
        .datasource(DataSourceRef(type_val="prometheus", uid="${prometheus}"))
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )
