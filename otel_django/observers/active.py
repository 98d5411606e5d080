"""What this process can know of what was observed; set by the runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.observation import Observation
    from otel_django.observers.runner import Runner

INTERVAL_S: Final = 15.0
"""Unless METRICS_COLLECTION_INTERVAL says otherwise."""
_runner: Runner | None = None


def latest(name: str) -> tuple[Observation, ...] | None:
    """What the observer of that name saw last, in whichever process; None: nothing fresh."""
    return None if _runner is None else _runner.latest(name)


def observes() -> bool:
    """Whether anything is observed, as far as this process knows."""
    return _runner is not None


def interval_s_of(settings: Settings) -> float:
    """How often observers look."""
    given: Any = settings.origins.get("collection_interval_s")
    if given is None or given.place == "default":
        return INTERVAL_S
    return settings.collection_interval_s


def left_for(settings: Settings, name: str) -> tuple[Observation, ...] | None:
    """The same for a process that isn't observed, such as a command: from its host's folder."""
    from otel_django.metrics.host_folder import usable_folder
    from otel_django.observers.board import BoardAway
    from otel_django.observers.folder_board import FolderBoard
    from otel_django.observers.turn import FRESH_INTERVALS, read

    folder = usable_folder(settings.run_dir, settings.service_name, pause=_nothing)
    try:
        last = None if folder is None else FolderBoard(folder).get(name)
    except BoardAway:
        return None
    fresh = last is not None and last.age_s < FRESH_INTERVALS * interval_s_of(settings)
    return read(last.text) if last is not None and fresh else None


def _nothing() -> None:
    """Is to be let go on."""


def set_runner(runner: Runner | None) -> None:
    """From now on this one; None: nobody observes."""
    global _runner
    _runner = runner
