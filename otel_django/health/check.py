"""What a check is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from otel_django.health.results import Group, Result

Found: TypeAlias = Result | Iterable[Result] | None
"""None is healthy. Instances differ from each other within one answer."""


class Check(Protocol):
    """A class of checks: made without arguments, asked again and again, on any thread.

    ``run`` raises CheckError for unhealthy; of any other exception only the type is shown. It
    keeps to its time-out itself as far as it can: a thread can't be ended from outside.
    """

    def run(self) -> Found | Awaitable[Found]:
        """Look, without changing anything that others see."""
        ...


@dataclass(frozen=True, slots=True)
class Registered:
    """A check as the registry holds it; times in seconds, None for the site's setting.

    ``is_possible`` says whether there is anything to check in this process; cheap, and asked often.
    ``prepare`` loads what ``run`` needs, in a server before it serves; it connects to nothing.
    ``forget`` drops what the check itself remembers of earlier runs.
    """

    name: str
    run: Callable[[], Found | Awaitable[Found]]
    groups: frozenset[Group] = frozenset({"ready"})
    critical: bool = False
    timeout_s: float | None = None
    ttl_s: float | None = None
    is_possible: Callable[[], bool] = lambda: True
    prepare: Callable[[], object] | None = None
    forget: Callable[[], object] | None = None
