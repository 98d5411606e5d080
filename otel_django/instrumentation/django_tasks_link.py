"""Who sent a task, handed to its worker through the site's cache.

One key a task, from its sending until its first run, in the default cache if that is one which
every process sees and which has room: Redis, Memcached, or a third party's. Not the caches of
Django that live in one process; not the one in the database, which would cost five statements an
``enqueue``, in the site's own transaction; and one of files only where MAX_ENTRIES was raised far
enough that our keys don't push out the site's. A worker on another host doesn't see those files:
then, as without a cache, the task's id is what joins the two.
"""

from __future__ import annotations

from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context

from otel_django import guard
from otel_django.tracing.current import SUPPRESS_KEY, get_context, reset_context, set_context
from otel_django.tracing.propagation import parse_traceparent

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from otel_django.tracing.span import Span

KEY_PREFIX: Final = "otel_django.task:"
LIFE_S: Final = 24 * 3600
"""After the task is due."""
ROOM: Final = 10_000
REST_S: Final = 60.0
"""How long a cache that failed is left alone: it may have cost the site a time-out."""


class Links:
    """Where senders are kept; nothing here raises or is traced."""

    def __init__(self) -> None:
        self._rests_until_s = 0.0

    def keep(self, result: Any, span: Span) -> None:
        """The task of ``result`` was sent inside ``span``."""
        cache = self._cache(result)
        if cache is not None:
            token = _suppress()
            try:
                cache.set(_key(result), _traceparent(span), _life_s(result))
            except Exception:
                self._failed("keep")
            finally:
                reset_context(token)

    async def akeep(self, result: Any, span: Span) -> None:
        """The same, asynchronously."""
        cache = self._cache(result)
        if cache is not None:
            token = _suppress()
            try:
                await cache.aset(_key(result), _traceparent(span), _life_s(result))
            except Exception:
                self._failed("keep")
            finally:
                reset_context(token)

    def take(self, result: Any) -> SpanContext | None:
        """Who sent the task, once."""
        cache = self._cache(result)
        if cache is None:
            return None
        token = _suppress()
        try:
            found = cache.get(_key(result))
            if not isinstance(found, str):
                return None
            cache.delete(_key(result))
            return parse_traceparent(found, None)
        except Exception:
            self._failed("take")
            return None
        finally:
            reset_context(token)

    def _cache(self, result: Any) -> Any:
        if monotonic() < self._rests_until_s:
            return None
        try:
            from django.core.cache import caches

            cache = caches["default"]
            return cache if _is_shared(cache) else None
        except Exception:
            self._failed("find")
            return None

    def _failed(self, what: str) -> None:
        self._rests_until_s = monotonic() + REST_S
        guard.caught(f"django_tasks.{what}")


def _is_shared(cache: Any) -> bool:
    from django.core.cache.backends.db import DatabaseCache
    from django.core.cache.backends.dummy import DummyCache
    from django.core.cache.backends.filebased import FileBasedCache
    from django.core.cache.backends.locmem import LocMemCache

    if isinstance(cache, FileBasedCache):
        return int(getattr(cache, "_max_entries", 0)) >= ROOM
    return not isinstance(cache, DatabaseCache | DummyCache | LocMemCache)


def _suppress() -> Any:
    return set_context(Context({**get_context(), SUPPRESS_KEY: True}))


def _key(result: Any) -> str:
    return f"{KEY_PREFIX}{result.id}"


def _traceparent(span: Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _life_s(result: Any) -> int:
    run_after = result.task.run_after
    return LIFE_S + (0 if run_after is None else max(0, int(run_after.timestamp() - time())))
