"""Whether anybody evaluates the alerts: by what was left after the last evaluation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from otel_django.alerts import liveness
from otel_django.health.check import Registered
from otel_django.health.results import Result

if TYPE_CHECKING:
    from otel_django.alerts.keeping.asking import Asker
    from otel_django.conf import Settings
    from otel_django.observers.board import Board

NAME: Final = "monitoring"
PATIENCE_S: Final = 1.0
"""With a database that hangs."""
_NAMED: Final = 5


def checks(settings: Settings) -> Iterator[Registered]:
    """One check, where alerts are evaluated here."""
    if settings.alerts_evaluator == "embedded":
        check = MonitoringCheck(settings)
        yield Registered(NAME, check.run, groups=frozenset({"all"}))


class MonitoringCheck:
    """Asks this host's folder, and the database only where that has nothing fresh."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened = False
        self._shared: Board | None = None
        self._asker: Asker | None = None

    def run(self) -> Result:
        """A site on which nobody is known to have evaluated alerts is healthy: it may want none."""
        found = self.last()
        if found is None:
            return Result(message="Nobody is known to have evaluated alerts here.")
        last, age_s = found
        observed = {
            "age_s": round(age_s, 1),
            "rules": last.rules,
            "firing": last.firing,
            "failed": len(last.failed),
        }
        if last.is_late(age_s):
            message = f"Alerts were last evaluated {age_s:.0f} s ago, on {last.host}."
            return Result("unhealthy", message, observed)
        if last.failed:
            named = ", ".join(last.failed[:_NAMED])
            message = f"Rules that can't be evaluated: {named} ({last.reason})."
            return Result("degraded", message, observed)
        return Result(observed=observed)

    def last(self) -> tuple[liveness.Evaluated, float] | None:
        """The newest one, and its age."""
        known = self._ask(self._host())
        if known is not None and known[1] <= known[0].interval_s:
            return known
        left = self._ask_database()
        return min((one for one in (known, left) if one), key=lambda one: one[1], default=None)

    def _ask(self, board: Board | None) -> tuple[liveness.Evaluated, float] | None:
        left = None if board is None else board.get(liveness.LEASE)
        last = None if left is None else liveness.read(left.text)
        return None if left is None or last is None else (last, left.age_s)

    def _ask_database(self) -> tuple[liveness.Evaluated, float] | None:
        """None, too, if it doesn't answer: that is what the check `database` is for."""
        from otel_django.alerts.keeping.asking import Asker, DatabaseAwayError
        from otel_django.observers.board import BoardAway
        from otel_django.observers.database_board import DatabaseBoard

        if self._asker is None:
            self._asker = Asker(patience_s=PATIENCE_S)
        board = DatabaseBoard(self._settings.database)
        with contextlib.suppress(BoardAway, DatabaseAwayError):
            return self._asker.ask(lambda: self._ask(board))
        return None

    def _host(self) -> Board | None:
        if not self._opened:
            from otel_django.metrics.host_folder import usable_folder
            from otel_django.observers.folder_board import FolderBoard

            settings = self._settings
            folder = usable_folder(settings.run_dir, settings.service_name, pause=lambda: None)
            self._shared = None if folder is None else FolderBoard(folder)
            self._opened = True
        return self._shared
