"""Spans for cache operations, whatever the backend.

The methods of a configured backend's classes are patched where they are defined, when the backend
is first made: Django's own, third parties' and the site's alike. One span for what the caller
asked for: what a method calls on the cache in turn (``get_or_set`` its ``get`` and ``add``,
``aget`` its ``get`` in a thread) is inside it. Keys and values are never told.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable
from contextvars import ContextVar
from time import time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from django.utils.module_loading import import_string
from opentelemetry.trace import SpanKind

from otel_django import guard, names
from otel_django.instrumentation.cache_key import key_prefix
from otel_django.instrumentation.cache_metrics import CacheMetrics
from otel_django.instrumentation.patching import Patches
from otel_django.instrumentation.span_limits import are_narrow, begin_within
from otel_django.tracing import current
from otel_django.tracing.current import recording_span
from otel_django.tracing.exceptions import exception_type
from otel_django.tracing.span_parts import SharedAttributes

if TYPE_CHECKING:
    from django.core.cache import CacheHandler

    from otel_django.conf import Settings
    from otel_django.metrics.recorder import Recorder
    from otel_django.tracing.limits import Plain
    from otel_django.tracing.provider import TracerProvider
    from otel_django.tracing.span import Span
    from otel_django.tracing.tracer import Tracer

ONE_KEY = ("get", "set", "add", "touch", "delete", "has_key", "get_or_set")
COUNTERS = ("incr", "decr", "incr_version", "decr_version")
MANY_KEYS = ("get_many", "set_many", "delete_many")
OPERATIONS = frozenset((*ONE_KEY, *COUNTERS, *MANY_KEYS, "clear"))

_ALIAS = "_otel_django_alias"
_CLIENT = SpanKind.CLIENT
_MISSING = object()


class _Operation:
    """One operation that is going on: its span, if it is recorded, and whether the value was found.

    ``open`` while the caller's own code runs inside it (the default of ``get_or_set``).
    """

    __slots__ = ("hit", "name", "open", "span")

    def __init__(self, name: str, span: Span | None) -> None:
        self.name = name
        self.span = span
        self.hit: bool | None = None
        self.open = False


CLIENTS = ("opentelemetry.instrumentation.pymemcache", "opentelemetry.instrumentation.redis")
"""Instrumentors that would tell each operation's command a second time."""

_current: ContextVar[_Operation | None] = ContextVar("otel_django_cache_operation", default=None)
_parent: Callable[[], Span | None] = recording_span
_begin: Callable[[str, SpanKind, SharedAttributes, dict[str, Plain], Span], Span] | None = None
_metrics: CacheMetrics | None = None


class CacheInstrumentation:
    """Patches the cache backends that the site uses. Without ``spans`` it only measures."""

    def __init__(self, *, spans: bool = True) -> None:
        self._spans = spans
        self._patches = Patches()
        self._seen: set[type] = set()
        self._provider: TracerProvider | None = None
        self._recorder: Recorder | None = None

    def measure_with(self, recorder: Recorder) -> None:
        """Measure operations, too, from the next ``install`` on."""
        self._recorder = recorder

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Patch; a second call changes nothing."""
        global _begin, _metrics, _parent
        if _begin is not None:
            return
        from django.core.cache import CacheHandler, caches

        _begin = (
            functools.partial(begin_within, tracer) if are_narrow(settings) else tracer.begin_alike
        )
        _metrics = None if self._recorder is None else CacheMetrics(self._recorder)
        self._provider = tracer.provider
        if self._spans:
            self._provider.cover(CLIENTS, _is_running)
        else:
            _parent = _nobody
        self._seen.clear()
        self._patches.wrap(CacheHandler, "create_connection", self._create_connection)
        for alias in caches:
            made = _made(alias)
            if made is not None:
                _name(made, alias)
            backend = _imported(str(caches.settings[alias].get("BACKEND", "")))
            if backend is not None:
                self._patch_backend(backend)  # other threads may have made some

    def uninstall(self) -> None:
        """Put the backends' own methods back."""
        global _begin, _metrics, _parent
        if self._provider is None:
            return
        self._provider.cover(CLIENTS, None)
        self._provider = None
        self._patches.undo()
        _begin = _metrics = None
        _parent = recording_span

    def _create_connection(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def create_connection(handler: CacheHandler, alias: str) -> Any:
            # First: others (Sentry) wrap the methods of the object that is made, as they then are.
            with contextlib.suppress(Exception):  # Django says it better
                self._patch_backend(import_string(handler.settings[alias]["BACKEND"]))
            cache = original(handler, alias)
            try:
                _name(cache, alias)
                self._patch_backend(type(cache))
            except Exception:
                guard.caught("cache.create_connection")
            return cache

        return create_connection

    def _patch_backend(self, backend: type) -> None:
        if backend not in self._seen:
            self._seen.add(backend)
            for name in OPERATIONS:
                self._patch(backend, name)
                self._patch(backend, f"a{name}")

    def _patch(self, backend: type, name: str) -> None:
        """Patch the method on each cache class that defines it; a mixin's on the backend itself."""
        from django.core.cache import BaseCache

        for cls in backend.__mro__:
            method = vars(cls).get(name)
            if not inspect.isfunction(method):
                continue
            owner = cls if issubclass(cls, BaseCache) else backend
            if self._patches.holds(owner, name):
                continue
            if name in OPERATIONS:
                self._patches.wrap(owner, name, functools.partial(_method, name))
            elif inspect.iscoroutinefunction(method):
                self._patches.wrap(owner, name, functools.partial(_async_method, name[1:]))


# --- the patched methods


def _method(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        parent = _parent()
        if parent is None and _is_unmeasured():
            return original(self, *args, **kwargs)
        outer = _current.get()
        if outer is not None and not outer.open:
            return _inside(outer, name, original(self, *args, **kwargs), args, kwargs)
        try:
            running = _Running(self, name, parent, args, kwargs)
        except Exception:
            guard.caught("cache.begin")
            return original(self, *args, **kwargs)
        try:
            result = original(self, *running.args, **running.kwargs)
        except BaseException as error:
            running.fail(error)
            raise
        return running.end(result)

    return method


def _async_method(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        parent = _parent()
        if parent is None and _is_unmeasured():
            return await original(self, *args, **kwargs)
        outer = _current.get()
        if outer is not None and not outer.open:
            return _inside(outer, name, await original(self, *args, **kwargs), args, kwargs)
        try:
            running = _Running(self, name, parent, args, kwargs)
        except Exception:
            guard.caught("cache.begin")
            return await original(self, *args, **kwargs)
        try:
            result = await original(self, *running.args, **running.kwargs)
        except BaseException as error:
            running.fail(error)
            raise
        return running.end(result)

    return method


def _nobody() -> None:
    """Nothing is recorded."""


def _is_unmeasured() -> bool:
    return _metrics is None or bool(current.get_context().get(current.SUPPRESS_KEY))


def _is_running() -> bool:
    """Whether this is the backend's work on an operation, not the caller's code within it."""
    operation = _current.get()
    return operation is not None and not operation.open


def _inside(
    outer: _Operation, name: str, result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """A part of an operation: the first look-up says whether the value was there."""
    if outer.hit is None and name == "get" and outer.name in ("get_or_set", *COUNTERS):
        outer.hit = result is not _argument(args, kwargs, 1, "default")
    return result


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any], position: int, name: str) -> Any:
    """A positional or named argument; None if it isn't given (the cache API's own default)."""
    return args[position] if len(args) > position else kwargs.get(name)


class _Running:
    """An operation's span, current while it runs so that its queries and commands hang below."""

    def __init__(
        self,
        cache: Any,
        name: str,
        parent: Span | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        begin = _begin
        if begin is None:
            raise RuntimeError("used while it is being uninstalled")
        alias = _alias_of(cache)
        backend = _backend_of(type(cache))
        prefix, count = _keys(name, args, kwargs)
        span = None
        if parent is not None:
            span_name, shared = _alike(name, backend.name, alias, prefix)
            own: dict[str, Plain] = {} if count is None else {names.DJANGO_CACHE_COUNT: count}
            span = begin(span_name, _CLIENT, shared, own, parent)
        self._alias = alias
        self._prefix = prefix
        self._count = count
        self.args = args
        self.kwargs = kwargs
        self._default = _argument(args, kwargs, 1, "default")
        self._operation = operation = _Operation(name, span)
        if name == "get_or_set":
            self.args, self.kwargs = _open_default(operation, args, kwargs)
        elif name == "get" and backend.takes_any_default:
            self.args, self.kwargs = _with_default(_MISSING, args, kwargs)
        self._token = _current.set(operation)
        self._span_token = None if span is None else current.attach(span)
        self._start_ns = time_ns() if span is None else span._start_time

    def _detach(self) -> None:
        if self._span_token is not None:
            current.detach(self._span_token)
        try:
            _current.reset(self._token)
        except ValueError:  # a coroutine that is closed from another context
            _current.set(None)

    def end(self, result: Any) -> Any:
        """It returned: tell hit or miss. Gives back what the caller is to have."""
        self._detach()
        operation = self._operation
        try:
            hits = _hits(operation, result, self.args, self.kwargs)
            if operation.span is not None:
                if hits is not None:
                    _note_hits(operation.span, operation.name, hits)
                operation.span.end()
            self._measure(hits)
        except Exception:
            guard.caught("cache.end")
        return self._default if result is _MISSING else result

    def fail(self, error: BaseException) -> None:
        """It raised. A counter whose key is missing raises ValueError: a miss, no failure."""
        self._detach()
        operation = self._operation
        try:
            span = operation.span
            missed = operation.name in COUNTERS and isinstance(error, ValueError)
            if span is not None:
                if missed:
                    span.note(names.DJANGO_CACHE_HIT, False)
                else:
                    span.fail(exception_type(error))
                span.end()
            self._measure(0 if missed else None, failed=not missed)
        except Exception:
            guard.caught("cache.fail")

    def _measure(self, hits: int | None, *, failed: bool = False) -> None:
        metrics = _metrics
        if metrics is not None:
            metrics.ran(
                (self._alias, self._operation.name, self._prefix),
                time_ns() - self._start_ns,
                self._operation.span,
                -1 if failed else hits,
                self._count,
            )


def _hits(
    operation: _Operation, result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> int | None:
    """How many keys that were asked for were there; None for what asks for none."""
    name = operation.name
    if name == "get":
        return int(result is not _argument(args, kwargs, 1, "default"))
    if name in ("has_key", "touch"):
        return int(bool(result))
    if name == "get_many":
        return len(result)
    if name in COUNTERS:
        return 1
    if name == "get_or_set" and operation.hit is not None:
        return int(operation.hit)
    return None


def _note_hits(span: Span, name: str, hits: int) -> None:
    if name == "get_many":
        span.note(names.DJANGO_CACHE_HITS, hits)
    else:
        span.note(names.DJANGO_CACHE_HIT, bool(hits))


def _open_default(
    operation: _Operation, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A callable default is the caller's code: its own cache operations have spans again."""
    default = _argument(args, kwargs, 1, "default")
    if not callable(default):
        return args, kwargs

    def opened() -> Any:
        operation.open = True
        if operation.hit is None:
            operation.hit = False
        try:
            return default()
        finally:
            operation.open = False

    return _with_default(opened, args, kwargs)


def _with_default(
    default: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if len(args) > 1:
        return (args[0], default, *args[2:]), kwargs
    return args, {**kwargs, "default": default}


# --- what is told


def _name(cache: Any, alias: str | None) -> None:
    """Know the instance by its alias."""
    if hasattr(cache, "__dict__"):
        cache.__dict__[_ALIAS] = alias


def _imported(path: str) -> type | None:
    """The class of a dotted path, if its module is imported."""
    module, _, name = path.rpartition(".")
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) else None


def _made(alias: str) -> Any:
    """This thread's cache of that alias, if it is made already."""
    from django.core.cache import caches

    connections: Any = getattr(caches, "_connections", None)
    return getattr(connections, alias, None)


def _keys(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str | None, int | None]:
    """The key's prefix; for several keys their number, and the prefix of the first."""
    if name == "clear":
        return None, None
    if name not in MANY_KEYS:
        return key_prefix(_argument(args, kwargs, 0, "key")), None
    keys = _argument(args, kwargs, 0, "data" if name == "set_many" else "keys")
    if not isinstance(keys, list | tuple | dict | set | frozenset):
        return None, None  # an iterator would be used up by looking at it
    return key_prefix(next(iter(keys), None)), len(keys)


@functools.lru_cache(maxsize=512)
def _alike(
    operation: str, backend: str, alias: str | None, prefix: str | None
) -> tuple[str, SharedAttributes]:
    """Name and attributes of all operations of a kind."""
    attributes: dict[str, Plain] = {
        names.DJANGO_CACHE_OPERATION: operation,
        names.DJANGO_CACHE_BACKEND: backend,
    }
    if alias is not None:
        attributes[names.DJANGO_CACHE_ALIAS] = alias
    if prefix is not None:
        attributes[names.DJANGO_CACHE_KEY_PREFIX] = prefix
    return operation if alias is None else f"{operation} {alias}", SharedAttributes(attributes)


class _Backend(NamedTuple):
    """``takes_any_default``: its ``get`` is Django's own, which hands a default back untouched.

    Then ours tells a stored None or False from a missing key; elsewhere the result is compared
    with the caller's default.
    """

    name: str
    takes_any_default: bool


_backends: dict[type, _Backend] = {}


def _backend_of(cls: type) -> _Backend:
    known = _backends.get(cls)
    if known is None:
        module = str(getattr(getattr(cls, "get", None), "__module__", ""))
        known = _backends[cls] = _Backend(
            f"{cls.__module__}.{cls.__qualname__}",
            module.startswith("django.core.cache.backends."),
        )
    return known


def _alias_of(cache: Any) -> str | None:
    """The alias it was made for; one that was made before us, in another thread, is looked up."""
    alias = getattr(cache, _ALIAS, _MISSING)
    if alias is _MISSING:
        from django.core.cache import caches

        alias = next((name for name in caches if _made(name) is cache), None)
        _name(cache, alias)
    return alias if isinstance(alias, str) else None
