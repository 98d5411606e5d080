"""What this process can know of what was observed; set by the runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_django.observation import Observation
    from otel_django.observers.runner import Runner

_runner: Runner | None = None


def latest(name: str) -> tuple[Observation, ...] | None:
    """What the observer of that name saw last, in whichever process; None: nothing fresh."""
    return None if _runner is None else _runner.latest(name)


def observes() -> bool:
    """Whether anything is observed, as far as this process knows."""
    return _runner is not None


def set_runner(runner: Runner | None) -> None:
    """From now on this one; None: nobody observes."""
    global _runner
    _runner = runner
