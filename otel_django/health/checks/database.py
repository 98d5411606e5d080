"""Whether each database can be reached and answers, how fast, and how full of connections it is."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from otel_django.health import database_session
from otel_django.health.check import Registered
from otel_django.health.instances import IN_TIME, ask_each
from otel_django.health.judging import finding, not_slow
from otel_django.health.results import CheckError, Result, worst

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_django.conf import Settings
    from otel_django.conf.limits import Limit
    from otel_django.health.database_session import Session

NAME: Final = "database"
_POSTGRESQL: Final = (
    "SELECT count(*), current_setting('max_connections')::int"
    " - current_setting('superuser_reserved_connections')::int FROM pg_stat_activity"
    " WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'"
)
"""Of others' sessions a plain user sees that they are there, not what kind they are."""
_SELECT_1: Final = {
    "mysql": "SELECT 1, @@GLOBAL.max_connections",
    "oracle": "SELECT 1 FROM DUAL",
    "sqlite": "SELECT count(*) FROM (SELECT 1 FROM sqlite_master LIMIT 1)",
}
"""What to ask instead: of SQLite something that makes it open the file."""


def checks(settings: Settings) -> Iterator[Registered]:
    """One check, an instance an alias."""
    check = DatabaseCheck(
        settings.health_timeout_s,
        settings.health_limits["database_ms"],
        settings.health_limits["connections"],
    )
    yield Registered(
        NAME,
        check.run,
        groups=frozenset({"ready", "startup"}),
        critical=True,
        timeout_s=settings.health_timeout_s,
        is_possible=lambda: bool(database_session.aliases()),
        prepare=database_session.load_drivers,
    )


@dataclass(frozen=True)
class DatabaseCheck:
    """Two statements an alias at most, on a connection of its own."""

    timeout_s: float
    slow_ms: Limit
    connections_percent: Limit

    def run(self) -> list[Result]:
        return ask_each(database_session.aliases(), self._ask, "otel-django-health-database")

    def _ask(self, alias: str) -> Result:
        with database_session.session(alias, self.timeout_s * IN_TIME) as session:
            first = session.rows(first_statement(session))
            duration_ms = (monotonic() - session.began_s) * 1000
            connections = connections_of(session, first)
        found = [Result(*not_slow(duration_ms, self.slow_ms))]
        observed = {"duration_ms": round(duration_ms, 1)}
        if connections is not None:
            used, most = connections
            observed |= {"connections": used, "connections_max": most}
            message = f"{used} of {most} connections are used."
            found.append(Result(*finding(100 * used / most, self.connections_percent, message)))
        message = " ".join(each.message for each in found if each.message)
        return Result(worst(found), message, observed)


def first_statement(session: Session) -> str:
    """The cheapest question to a server."""
    return _SELECT_1.get(session.vendor, "SELECT 1")


def connections_of(session: Session, first: list[tuple[Any, ...]]) -> tuple[int, int] | None:
    """How many there are and how many there can be; None where that isn't told.

    ``first`` is what ``first_statement`` answered.
    """
    try:
        if session.vendor == "postgresql":
            [(used, most)] = session.rows(_POSTGRESQL)
        elif session.vendor == "mysql":
            [(_, used)] = session.rows("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
            most = first[0][1]
        else:
            return None
        return (int(used), int(most)) if int(most) > 0 else None
    except (CheckError, ValueError):
        return None
