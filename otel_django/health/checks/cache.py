"""Whether each cache takes a value, gives it back and forgets it, and how fast."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from otel_django.health.check import Registered
from otel_django.health.instances import IN_TIME, ask_each
from otel_django.health.judging import not_slow
from otel_django.health.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_django.conf import Settings
    from otel_django.conf.limits import Limit

NAME: Final = "cache"


def checks(settings: Settings) -> Iterator[Registered]:
    """One check, an instance an alias."""
    check = CacheCheck(settings.health_timeout_s, settings.health_limits["cache_ms"])
    yield Registered(
        NAME,
        check.run,
        critical=True,
        timeout_s=settings.health_timeout_s,
        prepare=check.prepare,
    )


@dataclass(frozen=True)
class CacheCheck:
    """A value is set, read and deleted, under a key that nobody else has."""

    timeout_s: float
    slow_ms: Limit

    def run(self) -> list[Result]:
        from django.core.cache import caches

        return ask_each(list(caches), self._ask, "otel-django-health-cache")

    def prepare(self) -> None:
        """Import the drivers."""
        from django.core.cache import caches

        from otel_django.health import cache_exchange

        for alias in caches:
            cache_exchange.exchange(alias, cache_exchange.backend_of(alias), self.timeout_s)

    def _ask(self, alias: str) -> Result:
        from django.core.cache.backends.dummy import DummyCache

        from otel_django.health import cache_exchange

        backend = cache_exchange.backend_of(alias)
        if issubclass(backend, DummyCache):
            return Result(message="It stores nothing: that is what DummyCache is for.")
        exchange = cache_exchange.exchange(alias, backend, self.timeout_s * IN_TIME)
        began_s = monotonic()
        observed = exchange()
        duration_ms = (monotonic() - began_s) * 1000
        status, message = not_slow(duration_ms, self.slow_ms)
        return Result(status, message, {"duration_ms": round(duration_ms, 1), **observed})
