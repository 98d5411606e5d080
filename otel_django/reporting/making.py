"""A report, section by section: one that can't be made says so, and leaves the others standing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from otel_django import guard
from otel_django.backends.embedded_session import one_connection
from otel_django.errors import ReadError
from otel_django.reporting import records, telemetry, times
from otel_django.reporting.document import Report, Section
from otel_django.reporting.objectives import service_levels
from otel_django.reporting.telemetry import Pages
from otel_django.viewer.ranges import TimeRange
from otel_django.viewer.readers import readers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_django.conf import Settings
    from otel_django.viewer.readers import Readers

WEEK_NS: Final = 7 * times.DAY_NS
SLACK_NS: Final = 3600 * 10**9
NOTHING_KEPT: Final = (
    "No telemetry is kept here that could be read, so only what is in the site's database is told: "
    "set OTEL_DJANGO_STORE=on."
)
Make: TypeAlias = "Callable[[Pages], Section]"
_OF_TELEMETRY: Final[tuple[tuple[str, str, Make], ...]] = (
    ("service_levels", "Availability and error budget", service_levels),
    ("requests", "Requests", telemetry.requests),
    ("slowest_endpoints", "Slowest endpoints", telemetry.slowest),
    ("errors", "Errors", telemetry.frequent_errors),
    ("tasks", "Tasks", telemetry.failing_tasks),
    ("statements", "Database", telemetry.statements),
    ("n_plus_one", "Repeated statements (N+1)", telemetry.repeated),
)
"""Key and title, which a section that can't be made has, too."""
_OF_RECORDS: Final[tuple[tuple[str, str, Make], ...]] = (
    ("alerts", "Alerts", records.alerts),
    ("health", "Health", records.health),
)
_LAST: Final[tuple[tuple[str, str, Make], ...]] = (
    ("own_metrics", "Your own metrics", telemetry.own_metrics),
    ("telemetry", "Telemetry itself", telemetry.lost_telemetry),
)


def make(
    settings: Settings, since_ns: int, until_ns: int, now_ns: int, service: str = ""
) -> Report:
    """The report of a range; ``service`` empty: of all. It never fails for what can't be read."""
    when = TimeRange(since_ns // 1_000_000 * 1_000_000, until_ns // 1_000_000 * 1_000_000, "")
    found = readers_of(settings)
    pages = Pages(settings, when, service, now_ns, found)
    kinds = _OF_RECORDS if found is None else (*_OF_TELEMETRY, *_OF_RECORDS, *_LAST)
    with one_connection():
        notes = tuple(_missing(found, when))
        sections = tuple(_section(*kind, pages) for kind in kinds)
    url = pages.address(pages.visit("overview"))
    return Report(
        settings.service_name, service, when.since_ns, when.until_ns, sections, notes, url
    )


def _section(key: str, title: str, make_one: Make, pages: Pages) -> Section:
    try:
        return make_one(pages)
    except ReadError as error:
        why = str(error)[:1].upper() + str(error)[1:].rstrip(".") + "."
        return _unknown(key, title, why)
    except Exception:
        guard.caught("report")
        return _unknown(key, title, "It could not be made; the site's log says more.")


def _unknown(key: str, title: str, why: str) -> Section:
    return Section(key, title, "This is not known.", notes=(why,), is_bad=True)


def _missing(found: Readers | None, when: TimeRange) -> Iterator[str]:
    """What is not kept of the range."""
    if found is None:
        yield NOTHING_KEPT
        return
    try:
        since_ns = found.kept.since_ns()
    except ReadError:
        return  # each section says so
    if since_ns is None or since_ns <= when.since_ns + SLACK_NS:
        return
    if since_ns >= when.until_ns:
        yield f"Nothing is kept any more of this range: telemetry begins {times.moment(since_ns)}."
        return
    yield (
        f"Telemetry is kept from {times.moment(since_ns)} on: "
        f"{times.length(when.until_ns - since_ns)} of the {times.length(when.length_ns)} that this "
        "is about. OTEL_DJANGO_STORE_RETENTION_HOURS and OTEL_DJANGO_STORE_MAX_MB say how much is."
    )
