"""Whether each database has the migrations that this code was written for."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from otel_django.health import database_session
from otel_django.health.check import Registered
from otel_django.health.database_errors import UnknownTableError
from otel_django.health.instances import IN_TIME, ask_each
from otel_django.health.results import CheckError, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from otel_django.conf import Settings

NAME: Final = "migrations"
REMEMBERED_S: Final = 600.0
"""For how long a database isn't asked again once all were applied."""
_FEW: Final = 3
_Key: TypeAlias = tuple[str, str]


def checks(settings: Settings) -> Iterator[Registered]:
    """One check, an instance an alias."""
    check = MigrationsCheck(settings.health_timeout_s)
    yield Registered(
        NAME,
        check.run,
        groups=frozenset({"startup"}),
        critical=True,
        timeout_s=settings.health_timeout_s,
        is_possible=lambda: bool(database_session.primary_aliases()),
        forget=check.forget,
    )


class MigrationsCheck:
    """One statement an alias, until all are applied.

    An alias other than ``default`` on which nothing was ever migrated isn't Django's to migrate.
    """

    def __init__(self, timeout_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._timeout_s = timeout_s
        self._clock = clock
        self._known: Mapping[_Key, Any] | None = None
        self._applied_s: dict[str, float] = {}

    def run(self) -> list[Result]:
        if self._known is None:
            self._known = _on_disk()
        return ask_each(
            database_session.primary_aliases(), self._ask, "otel-django-health-migrations"
        )

    def forget(self) -> None:
        """Ask each database at the next run."""
        self._applied_s.clear()

    def _ask(self, alias: str) -> Result:
        seen_s = self._applied_s.get(alias)
        if seen_s is not None and self._clock() - seen_s < REMEMBERED_S:
            return Result()
        waiting = [key for key in self._unapplied(alias) if _concerns(alias, key[0])]
        if waiting:
            return Result("unhealthy", _words(waiting), {"unapplied": len(waiting)})
        self._applied_s[alias] = self._clock()
        return Result()

    def _unapplied(self, alias: str) -> list[_Key]:
        applied = _applied(alias, self._timeout_s * IN_TIME)
        if applied is None:
            applied = set()
            if alias != "default":
                return []
        return unapplied(self._known or {}, applied)


def unapplied(known: Mapping[_Key, Any], applied: Collection[_Key]) -> list[_Key]:
    """Which are still to run, as ``migrate`` would: squashed ones in place of what they replace.

    Of a squashed one that is applied in part, the rest of what it replaces.
    """
    squashed = {
        key: {tuple(each) for each in migration.replaces}
        for key, migration in known.items()
        if migration.replaces
    }
    done: set[_Key] = set(applied)
    while more := {key for key, parts in squashed.items() if key not in done and parts <= done}:
        done |= more
    left = known.keys() - done
    for key, parts in squashed.items():
        begun = key not in done and parts & done
        left -= {key} if begun else parts
    return sorted(left)


def _on_disk() -> Mapping[_Key, Any]:
    from django.db.migrations.loader import MigrationLoader

    try:
        loader = MigrationLoader(None, load=False)
        loader.load_disk()
    except Exception as error:
        raise CheckError(f"They can't be loaded ({type(error).__name__}).") from error
    return loader.disk_migrations


def _applied(alias: str, timeout_s: float) -> set[_Key] | None:
    """None: there is no table of them."""
    with database_session.session(alias, timeout_s) as session:
        try:
            rows = session.rows("SELECT app, name FROM django_migrations")
        except UnknownTableError:
            return None
    return {(str(app), str(name)) for app, name in rows}


def _concerns(alias: str, app_label: str) -> bool:
    """Whether the site's routers let anything of the app into this database."""
    from django.apps import apps
    from django.db import router

    models = list(apps.get_app_config(app_label).get_models(include_auto_created=True))
    if not models:
        return bool(router.allow_migrate(alias, app_label))
    return any(router.allow_migrate_model(alias, model) for model in models)


def _words(waiting: list[_Key]) -> str:
    names = ", ".join(f"{app}.{name}" for app, name in waiting[:_FEW])
    more = f" and {len(waiting) - _FEW} more" if len(waiting) > _FEW else ""
    return f"Not applied: {names}{more}."
