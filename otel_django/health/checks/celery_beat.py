"""Whether a beat runs and sends what is due: by what it told of itself, and by the schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_django import names
from otel_django.health import celery_seen
from otel_django.health.check import Registered
from otel_django.health.judging import finding
from otel_django.health.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from otel_django.conf import Settings
    from otel_django.observation import Observation

NAME: Final = "celery_beat"


def checks(settings: Settings) -> Iterator[Registered]:
    """One check."""
    check = BeatCheck(settings)
    yield Registered(
        NAME,
        check.run,
        groups=frozenset({"all"}),
        timeout_s=settings.health_timeout_s,
        is_possible=check.is_possible,
    )


class BeatCheck:
    """Reads what is left of the last look in this host's folder."""

    def __init__(self, settings: Settings) -> None:
        self._seen = celery_seen.CelerySeen(settings, "celery.beat", "whether a beat is there")
        self._missed = settings.health_limits["missed_runs"]

    def is_possible(self) -> bool:
        """The app has a schedule, or a beat has been there, whose schedule is kept elsewhere."""
        if not self._seen.is_possible():
            return False
        app = celery_seen.app()
        return bool(app.conf.beat_schedule or _beats(self._seen.rows() or ()))

    def run(self) -> Result:
        """A beat that died is unhealthy at once; without one, the runs that are missed count."""
        from otel_django.observers.celery_beat_presence import MISSED
        from otel_django.observers.celery_beats import ALIVE, DEAD

        rows = self._seen.rows()
        if rows is None:
            return self._seen.unknown()
        alive = [one.value for one in rows if one.name == ALIVE]
        dead = [one.value for one in rows if one.name == DEAD]
        missed = {
            str(one.attributes[names.CELERY_BEAT_ENTRY]): int(one.value)
            for one in rows
            if one.name == MISSED
        }
        most = max(missed.values(), default=0)
        observed = {"alive": len(alive), "missed_runs": most}
        if dead:
            message = f"Not heard of for {min(dead):.0f} s: killed, paused, or cut off."
            return Result("unhealthy", message, observed)
        status, message = finding(most, self._missed, _in_words(missed))
        if not alive:
            message = f"No beat is there. {message}".strip()
        return Result(status, message, observed)


def _in_words(missed: Mapping[str, int]) -> str:
    entry = max(missed, key=missed.__getitem__, default="")
    others = f", {len(missed) - 1} more entries too" if len(missed) > 1 else ""
    return f"Runs of {entry} that haven't come: {missed.get(entry, 0)}{others}."


def _beats(rows: Sequence[Observation]) -> bool:
    from otel_django.observers.celery_beats import ALIVE, DEAD

    return any(one.name in {ALIVE, DEAD} for one in rows)
