"""Panels in one style: each says what it shows, in which unit, and where to go from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import logs, loki, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.generator.queries import Query

PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="${prometheus}")
LOKI: Final = DataSourceRef(type_val="loki", uid="${loki}")
WHOLE: Final = 24
"""A row of the grid."""
HEIGHT: Final = 8
NUMBER_HEIGHT: Final = 4
SITE: Final = "${site}/monitoring"

Levels = tuple[float, float]
"""Warning and critical; the first is the larger one where less is worse."""


def graph(
    title: str,
    about: str,
    *queries: Query,
    unit: str,
    width: int = 8,
    stacked: bool = False,
    levels: Levels | None = None,
    runbook: str = "",
    most: float | None = None,
    links: Sequence[builders.DashboardLink] = (),
) -> timeseries.Panel:
    """Lines over time, from zero; exemplars are dots that open a trace."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(PROMETHEUS)
        .unit(unit)
        .min(0)
        .span(width)
        .height(HEIGHT)
        .line_width(1)
        .fill_opacity(20 if stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
        .legend(
            common_builders.VizLegendOptions()
            .show_legend(True)
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
        )
        .tooltip(
            common_builders.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )
    if most is not None:
        panel.max(most)
    if stacked:
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    if levels:
        panel.thresholds(_thresholds(levels)).thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(
                common.GraphThresholdsStyleMode.DASHED
            )
        )
    for target in _targets(queries):
        panel.with_target(target)
    panel.links([*_runbook(runbook), *links])
    return panel


def number(
    title: str,
    about: str,
    expr: str,
    *,
    unit: str,
    levels: Levels | None = None,
    runbook: str = "",
    width: int = 4,
    decimals: float | None = None,
) -> stat.Panel:
    """The last value, coloured by its levels, over a line of its course."""
    panel = (
        stat.Panel()
        .title(title)
        .description(about)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(width)
        .height(NUMBER_HEIGHT)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common.BigValueGraphMode.AREA)
        .color_mode(common.BigValueColorMode.VALUE)
        .no_value("none")
        .thresholds(_thresholds(levels))
    )
    if decimals is not None:
        panel.decimals(decimals)
    for target in _targets((Query(expr),)):
        panel.with_target(target)
    panel.links([*_runbook(runbook)])
    return panel


def rows(
    title: str,
    about: str,
    key: str,
    columns: dict[str, tuple[str, str]],
    *,
    sort: str,
    width: int = WHOLE,
    link: tuple[str, str] | None = None,
    hidden: Sequence[str] = (),
) -> table.Panel:
    """A table: ``columns`` by heading, each an expression by the labels of ``key`` and a unit.

    ``link`` is a title and an address for the first label, ``hidden`` labels that aren't shown.
    """
    panel = (
        table.Panel()
        .title(title)
        .description(about)
        .datasource(PROMETHEUS)
        .span(width)
        .height(HEIGHT + 2)
        .sort_by([common_builders.TableSortByFieldState().display_name(sort).desc(True)])
    )
    names: dict[str, str] = {}
    hide = dict.fromkeys(["Time", *(f"Time {i + 1}" for i in range(len(columns))), *hidden], True)
    for letter, (heading, (expr, unit)) in zip("ABCDEFGHIJ", columns.items(), strict=False):
        panel.with_target(
            prometheus.Dataquery()
            .datasource(PROMETHEUS)
            .expr(expr)
            .instant()
            .format(PromQueryFormat.TABLE)
            .ref_id(letter)
        )
        names[f"Value #{letter}"] = heading
        panel.override_by_name(heading, [DynamicConfigValue(id_val="unit", value=unit)])
    first = key.split(",", maxsplit=1)[0].strip()
    if link:
        address = [{"title": link[0], "url": link[1], "targetBlank": True}]
        panel.override_by_name(first, [DynamicConfigValue(id_val="links", value=address)])
    panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        DataTransformerConfig(
            id_val="organize", options={"excludeByName": hide, "renameByName": names}
        )
    )
    return panel


def log_lines(title: str, about: str, expr: str, *, width: int = WHOLE) -> logs.Panel:
    """Lines of Loki, newest first, each with a link to its trace."""
    return (
        logs.Panel()
        .title(title)
        .description(about)
        .datasource(LOKI)
        .span(width)
        .height(HEIGHT + 4)
        .show_time(True)
        .wrap_log_message(True)
        .enable_log_details(True)
        .sort_order(common.LogsSortOrder.DESCENDING)
        .dedup_strategy(common.LogsDedupStrategy.NONE)
        .with_target(loki.Dataquery().datasource(LOKI).expr(expr).ref_id("A").max_lines(500))
    )


def log_counts(title: str, about: str, expr: str, legend: str, *, width: int = WHOLE) -> Any:
    """Lines of Loki, counted over time."""
    panel = graph(title, about, unit="short", width=width, stacked=True)
    panel.datasource(LOKI)
    panel.with_target(
        loki.Dataquery().datasource(LOKI).expr(expr).legend_format(legend).ref_id("A")
    )
    return panel


def page(title: str, path: str) -> builders.DashboardLink:
    """A link to a page of the site's own viewer, for the time that is shown."""
    return (
        builders.DashboardLink(title)
        .type(DashboardLinkType.LINK)
        .url(f"{SITE}/{path}")
        .target_blank(True)
    )


def _runbook(rule: str) -> list[builders.DashboardLink]:
    return [page(f"Runbook: {rule}", f"alerts/rules/{rule}/")] if rule else []


def _targets(queries: Sequence[Query]) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery()
        .datasource(PROMETHEUS)
        .expr(query.expr)
        .legend_format(query.legend or "__auto")
        .exemplar(query.exemplars)
        .range()
        .ref_id(letter)
        for letter, query in zip("ABCDEFGHIJ", queries, strict=False)
    ]


def _thresholds(levels: Levels | None) -> builders.ThresholdsConfig:
    steps = [Threshold(value=None, color="text" if levels is None else "green")]
    if levels:
        warning, critical = levels
        if warning <= critical:
            steps += [
                Threshold(value=warning, color="orange"),
                Threshold(value=critical, color="red"),
            ]
        else:
            steps = [
                Threshold(value=None, color="red"),
                Threshold(value=critical, color="orange"),
                Threshold(value=warning, color="green"),
            ]
    return builders.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
