"""Spans for PostgreSQL's COPY, which goes past Django's ``execute``.

psycopg 3 has ``cursor.copy()``, a context manager; psycopg2 ``copy_expert``, ``copy_from`` and
``copy_to``. Django's cursor wrapper hands them through, its debugging one defines some itself.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from otel_django import guard

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.utils import CursorWrapper

    from otel_django.instrumentation.database_recorder import Call, Recorder
    from otel_django.instrumentation.patching import Patches

_METHODS = ("copy", "copy_expert", "copy_from", "copy_to")
_MODULE = "django.db.backends.postgresql.base"

_recorder: Recorder | None = None
_patches: Patches | None = None
_debug_patched = False


def install(patches: Patches, recorder: Recorder, wrapper: type[CursorWrapper]) -> None:
    """Offer the COPY methods on Django's cursor wrapper, where the driver has them."""
    global _recorder, _patches, _debug_patched
    _recorder, _patches, _debug_patched = recorder, patches, False
    for name in _METHODS:
        patches.set(wrapper, name, _DriverMethod(name))
    _patch_debug_cursor()


def uninstall() -> None:
    """Forget the recorder; the patches are undone by who made them."""
    global _recorder, _patches
    _recorder = _patches = None


def patch_debug_cursor(db: BaseDatabaseWrapper) -> None:
    """A connection is made: the debugging wrapper of its backend is imported by now."""
    if not _debug_patched and db.vendor not in ("sqlite", "mysql", "oracle"):
        _patch_debug_cursor()


def _patch_debug_cursor() -> None:
    global _debug_patched
    module = sys.modules.get(_MODULE)
    if module is None or _patches is None:
        return
    _debug_patched = True
    for name in _METHODS:
        if name in vars(module.CursorDebugWrapper):
            _patches.wrap(module.CursorDebugWrapper, name, _debug_method)


class _DriverMethod:
    """A method that Django's cursor wrapper has if the driver's cursor has it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, cursor: CursorWrapper | None, owner: type | None = None) -> Any:
        if cursor is None:
            raise AttributeError(self._name)
        method = getattr(cursor.cursor, self._name)  # AttributeError as without us
        if _recorder is None or not _recorder.wants_calls():
            return method
        return functools.partial(_copy, cursor, self._name, method)


def _debug_method(original: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: CursorWrapper, *args: Any, **kwargs: Any) -> Any:
        bound = functools.partial(original, self)
        return _copy(self, original.__name__, bound, *args, **kwargs)

    return method


def _copy(
    cursor: CursorWrapper, name: str, method: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """Call ``method`` with a span around it, or around the context manager it returns."""
    recorder = _recorder
    if recorder is None or not recorder.wants_calls():
        return method(*args, **kwargs)
    try:
        statement = recorder.statement(cursor.db, _statement(name, args, kwargs))
        call = None if name == "copy" else recorder.begin(cursor.db, statement)
    except Exception:
        guard.caught("database.copy")
        return method(*args, **kwargs)
    if call is None:
        begin = functools.partial(recorder.begin, cursor.db, statement)
        return _RecordedCopy(method(*args, **kwargs), recorder, begin)
    try:
        result = method(*args, **kwargs)
    except BaseException as error:
        recorder.fail(call, error)
        raise
    _end(recorder, call)
    return result


def _statement(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if name in ("copy", "copy_expert"):
        return args[0] if args else kwargs.get("statement", kwargs.get("sql", ""))
    table = str(args[1] if len(args) > 1 else kwargs.get("table", "")).replace('"', '""')
    return f'COPY "{table}" {"FROM STDIN" if name == "copy_from" else "TO STDOUT"}'


def _end(recorder: Recorder, call: Call) -> None:
    try:
        recorder.end(call)
    except Exception:
        guard.caught("database.copied")


class _RecordedCopy:
    """psycopg's ``copy()`` context manager; the span begins and ends with it."""

    def __init__(self, copy: Any, recorder: Recorder, begin: Callable[[], Call]) -> None:
        self._copy = copy
        self._recorder = recorder
        self._begin = begin
        self._call: Call | None = None

    def __enter__(self) -> Any:
        try:
            self._call = self._begin()
        except Exception:
            guard.caught("database.copy")
        try:
            return self._copy.__enter__()
        except BaseException as error:
            self._end(error)
            raise

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Any:
        try:
            result = self._copy.__exit__(exc_type, exc, traceback)
        except BaseException as error:
            self._end(error)
            raise
        self._end(exc)
        return result

    def _end(self, error: BaseException | None) -> None:
        call, self._call = self._call, None
        if call is None:
            return
        if error is None:
            _end(self._recorder, call)
        else:
            self._recorder.fail(call, error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._copy, name)
