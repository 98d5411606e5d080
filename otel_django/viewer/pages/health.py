"""Health: what the checks find now, and how they were in the range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django import names
from otel_django.errors import ReadError
from otel_django.health import active
from otel_django.health.results import overall, score
from otel_django.metric_definitions import HEALTH_CHECK_STATUS
from otel_django.viewer import series
from otel_django.viewer.check_rows import LOOKS, Look, Row
from otel_django.viewer.live import anew
from otel_django.viewer.page import Context, page
from otel_django.viewer.table import Column, in_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_django.health.results import CheckReport, Group, State
    from otel_django.viewer.series import Values
    from otel_django.viewer.visit import Visit

COURSE_STEPS: Final = 60
GROUPS: Final[Mapping[Group, str]] = {
    "all": "All",
    "ready": "Ready",
    "startup": "Start-up",
    "live": "Live",
}
COLUMNS: Final = (
    Column("badness", "State", classes="state-word"),
    Column("name", "Check", text=True),
    Column("message", "Found", text=True),
    Column("duration_s", "Took"),
    Column("age_s", "Seen", "How long ago it found that"),
    Column("well", "Healthy", "How much of the range", classes="wide number"),
)


class Choice(NamedTuple):
    """A group of checks, and the status code that probes of it get."""

    title: str
    address: str
    chosen: bool
    status: State
    code: int
    look: Look


@page("health", "Health")
def health(visit: Visit) -> Context:
    """What is wrong, in one line; then each check. They are asked as probes ask them."""
    engine = active.engine()
    found = {check.name: check for check in engine.report("all").checks}
    of_groups = {
        group: [found[each.name] for each in engine.registry.checks(group) if each.name in found]
        for group in GROUPS
    }
    group: Any = visit.chosen("group", *GROUPS)
    checks = sorted(of_groups[group], key=lambda check: (not check.critical, check.name))
    courses, note = _courses(visit)
    rows, headings = in_order(
        visit,
        [Row(check, visit, courses.get(check.name, [])) for check in checks],
        COLUMNS,
        "badness",
    )
    return {
        "live": anew(visit),
        "choices": [
            _choice(visit, each, of_group, group)
            for each, of_group in of_groups.items()
            if of_group
        ],
        "status": overall(group, checks),
        "score": score(checks),
        "ill": _ill(rows, checks),
        "rows": rows,
        "headings": headings,
        "note": note,
    }


def _ill(rows: Sequence[Row], checks: Sequence[CheckReport]) -> list[Row]:
    """The worst first, of those as bad the critical ones, however the table is sorted."""
    return sorted(
        (row for row in rows if row.badness),
        key=lambda row: (-row.badness, checks.index(row.report)),
    )


def _choice(visit: Visit, group: Group, checks: Sequence[CheckReport], chosen: Group) -> Choice:
    status = overall(group, checks)
    address = visit.here(group=None if group == "all" else group)
    code = 503 if status == "unhealthy" else 200
    return Choice(GROUPS[group], address, group == chosen, status, code, LOOKS[status])


def _courses(visit: Visit) -> tuple[dict[str, Values], str]:
    """Each check's values in the range, the worst of its instances, and what to say of them."""
    if visit.found is None:
        return {}, ""
    try:
        reading = series.read(
            visit.found.metrics,
            HEALTH_CHECK_STATUS.name,
            visit.range,
            by=(names.HEALTH_CHECK_NAME,),
            service=visit.settings.service_name,
            most_steps=COURSE_STEPS,
        )
    except ReadError as error:
        return {}, f"How the checks were: {error}"
    return {name: group.levels("min") for (name,), group in reading.groups.items()}, reading.partial
