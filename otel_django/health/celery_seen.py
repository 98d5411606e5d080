"""What was seen of Celery, for the checks: in whichever process, without asking anybody."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from otel_django.health.results import Result
from otel_django.observers import active, celery_app

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.observation import Observation

START_S: Final = 60.0
"""How long a process waits for the first look before it finds fault with there being none."""


def app() -> Any:
    """The site's Celery app.

    None where there is none, and where it runs its tasks in place.
    """
    found = celery_app.current()
    return None if found is None or found.conf.task_always_eager else found


class CelerySeen:
    """What the observer of that name saw last; ``what`` is then known."""

    def __init__(self, settings: Settings, observer: str, what: str) -> None:
        self._settings = settings
        self._observer = observer
        self._what = what
        self._began_s = monotonic()

    def rows(self) -> tuple[Observation, ...] | None:
        """None: nothing that is fresh."""
        if active.observes():
            return active.latest(self._observer)
        return active.left_for(self._settings, self._observer)

    def is_possible(self) -> bool:
        """This process takes part in observing Celery, or another one of this host has looked."""
        return app() is not None and (active.observes() or self.rows() is not None)

    def unknown(self) -> Result:
        """For want of it."""
        if monotonic() - self._began_s < START_S:
            return Result(message=f"Nobody has looked yet: {self._what} isn't known.")
        return Result(
            "degraded",
            f"Nobody has looked of late: {self._what} isn't known. The log says what keeps the "
            "processes with the Celery app from looking.",
        )
