"""Exceptions as telemetry: type, message and stack trace, with no values in them.

Follows the semantic conventions' ``exception.*`` attributes. A driver's message that may quote rows
and parameters is replaced by its SQLSTATE or error number; paths are made relative; local
variables are never read.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from otel_django import names
from otel_django.tracing.driver_messages import harmless

if TYPE_CHECKING:
    from otel_django.tracing.redaction import Redactor

MAX_FRAMES = 60
MAX_CHAIN = 10
MAX_MESSAGE = 4096

_DRIVER_PACKAGES = frozenset(
    [
        "psycopg",
        "psycopg2",
        "psycopg_c",
        "psycopg_binary",
        "asyncpg",
        "MySQLdb",
        "pymysql",
        "mysql",
        "sqlite3",
        "_sqlite3",
        "oracledb",
        "cx_Oracle",
        "redis",
        "pymongo",
    ]
)


def exception_type(exc: BaseException) -> str:
    """The type's full name, builtins without their module (``ValueError``, ``shop.Refused``)."""
    cls = type(exc)
    module = cls.__module__
    return cls.__qualname__ if module in (None, "builtins") else f"{module}.{cls.__qualname__}"


def exception_text(exc: BaseException) -> str:
    """``str(exc)``, which is anybody's code."""
    try:
        return str(exc)
    except Exception:
        return "[unprintable]"


def is_driver_error(exc: BaseException) -> bool:
    """Whether the message comes from a database driver and so may quote rows or parameters."""
    for cls in type(exc).__mro__:
        module = cls.__module__ or ""
        if module.partition(".")[0] in _DRIVER_PACKAGES or module == "django.db.utils":
            return True
    return False


def driver_code(exc: BaseException) -> str | None:
    """SQLSTATE (PostgreSQL), error number (MySQL) or error name (SQLite); None without one."""
    for source in (exc, exc.__cause__):
        arguments = getattr(source, "args", ())
        if arguments and type(arguments[0]) is int:  # MySQL drivers, some of which add a SQLSTATE
            return str(arguments[0])
        for attribute in ("sqlstate", "pgcode", "sqlite_errorname"):
            code = getattr(source, attribute, None)
            if isinstance(code, str) and code:
                return code
    return None


def _driver_message(exc: BaseException) -> str:
    """The driver's own sentence if it holds no value, else that there was an error; its code."""
    arguments = exc.args
    text = arguments[-1] if arguments and isinstance(arguments[-1], str) else exception_text(exc)
    safe = harmless(text)
    code = driver_code(exc)
    if safe is not None:
        return f"{safe} ({code})" if code else safe
    return f"database error {code}" if code else "database error"


def _items(exc: BaseException, attribute: str) -> Sequence[object]:
    """The first of what a group or notes hold; anybody's exception may have such an attribute."""
    found = getattr(exc, attribute, ())
    return found[:MAX_CHAIN] if isinstance(found, list | tuple) else ()


class ExceptionFormatter:
    """Turns exceptions into safe text.

    ``project_root``: paths below it are shown relative to it; others from ``site-packages`` or
    the standard library on; anything else by its file name alone.
    """

    def __init__(self, redactor: Redactor, project_root: Path | None = None) -> None:
        self._redactor = redactor
        self._root = f"{project_root}/" if project_root else None

    def message(self, exc: BaseException) -> str:
        """The exception's text as it may leave."""
        if is_driver_error(exc):
            return _driver_message(exc)
        return self._redactor.text(exception_text(exc)[:MAX_MESSAGE])

    def attributes(self, exc: BaseException) -> dict[str, str]:
        """``exception.type``, ``exception.message`` and ``exception.stacktrace``."""
        return {
            names.EXCEPTION_TYPE: exception_type(exc),
            names.EXCEPTION_MESSAGE: self.message(exc),
            names.EXCEPTION_STACKTRACE: self.stacktrace(exc),
        }

    def stacktrace(self, exc: BaseException) -> str:
        """Python's own layout, chained exceptions first, values masked."""
        return "".join(self._chain(exc, set(), 0))

    def _chain(self, exc: BaseException, seen: set[int], depth: int) -> Iterator[str]:
        seen.add(id(exc))
        cause = exc.__cause__
        context = None if exc.__suppress_context__ else exc.__context__
        earlier = cause if cause is not None else context
        if earlier is not None and id(earlier) not in seen and depth < MAX_CHAIN:
            yield from self._chain(earlier, seen, depth + 1)
            word = "direct cause of" if cause is not None else "During handling of"
            yield (
                f"\nThe above exception was the {word} the following exception:\n\n"
                if cause is not None
                else f"\n{word} the above exception, another exception occurred:\n\n"
            )
        yield from self._one(exc)
        for inner in _items(exc, "exceptions"):
            if isinstance(inner, BaseException) and id(inner) not in seen and depth < MAX_CHAIN:
                yield "\nOne of the group's exceptions:\n\n"
                yield from self._chain(inner, seen, depth + 1)

    def _one(self, exc: BaseException) -> Iterator[str]:
        if exc.__traceback__ is not None:
            yield "Traceback (most recent call last):\n"
            yield from self._frames(exc)
        message = self.message(exc)
        name = exception_type(exc)
        yield f"{name}: {message}\n" if message else f"{name}\n"
        for note in _items(exc, "__notes__"):
            if isinstance(note, str):
                yield f"{self._redactor.text(note[:MAX_MESSAGE])}\n"

    def _frames(self, exc: BaseException) -> Iterator[str]:
        frames = traceback.extract_tb(exc.__traceback__)
        left_out = len(frames) - MAX_FRAMES
        for position, frame in enumerate(frames):
            if left_out > 0 and 10 <= position < 10 + left_out:
                if position == 10:
                    yield f"  … {left_out} frames left out\n"
                continue
            yield f'  File "{self.path(frame.filename)}", line {frame.lineno}, in {frame.name}\n'
            if frame.line:
                yield f"    {self._redactor.text(frame.line)}\n"

    def path(self, filename: str) -> str:
        """A source file's path with nothing of the machine's folders in it."""
        slashed = filename.replace("\\", "/")
        if self._root and slashed.startswith(self._root) and "/site-packages/" not in slashed:
            return slashed[len(self._root) :]
        for marker in ("/site-packages/", "/dist-packages/"):
            _, found, tail = slashed.rpartition(marker)
            if found:
                return tail
        _, found, tail = slashed.rpartition("/lib/python3")
        if found:
            return tail.partition("/")[2]
        return slashed.rpartition("/")[2]
