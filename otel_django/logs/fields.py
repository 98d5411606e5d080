"""What a caller logs, made plain: no secret, no query, nothing endless.

Texts pass the redactor, values under names that say secret are masked. Of an object that isn't
plain data (a request, a user, a lazy object) only the class is told: its text is never asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import islice
from pathlib import PurePath
from typing import Any, Final, Protocol
from uuid import UUID

MASK: Final = "[redacted]"
MAX_TEXT: Final = 16_384
MAX_DEPTH: Final = 4
MAX_ITEMS: Final = 100
PLAIN_TYPES: Final = frozenset({int, float, bool, type(None)})
_HARMLESS: Final = PLAIN_TYPES | {str}
_TOLD_BY_TEXT: Final = (UUID, Decimal, PurePath, timedelta)


class Redactor(Protocol):
    """Masks secrets; what every outgoing text passes."""

    def is_sensitive(self, name: str) -> bool:
        """Whether values under this name must not leave."""
        ...

    def text(self, text: str) -> str:
        """``text`` without what looks like a secret."""
        ...

    def value(self, name: str, text: str) -> str:
        """``text`` as it may leave under ``name``."""
        ...


class Exceptions(Protocol):
    """Exceptions as texts without values."""

    def message(self, exc: BaseException) -> str:
        """What it says."""
        ...

    def stacktrace(self, exc: BaseException) -> str:
        """Where it comes from, without local values."""
        ...

    def path(self, filename: str) -> str:
        """A source file's path without the machine's folders."""
        ...


class Fields:
    """Makes plain what callers give; ``max_text`` None is the package's own limit."""

    def __init__(
        self, redactor: Redactor, exceptions: Exceptions, *, max_text: int | None = None
    ) -> None:
        self._redactor = redactor
        self._exceptions = exceptions
        self._max_text = MAX_TEXT if max_text is None else min(max_text, MAX_TEXT)

    def text(self, text: str) -> str:
        """A message or another free text."""
        if len(text) > self._max_text:
            text = text[: self._max_text]
        return self._redactor.text(text)

    def all(self, given: Mapping[Any, Any]) -> dict[str, Any]:
        """A caller's fields."""
        is_sensitive = self._redactor.is_sensitive
        fields: dict[str, Any] = {}
        for key, value in given.items():
            name = key if type(key) is str else str(key)
            if type(value) in PLAIN_TYPES:
                fields[name] = MASK if is_sensitive(name) else value
            else:
                fields[name] = self.value(name, value)
        return fields

    def value(self, name: str, value: Any, depth: int = 0) -> Any:
        """One field."""
        kind = type(value)
        if kind is str:
            return self._named(name, value)
        if self._redactor.is_sensitive(name):
            return MASK
        if kind in PLAIN_TYPES:
            return value
        # Never isinstance: a lazy object would be evaluated to say what it is.
        if issubclass(kind, Enum):
            return self.value(name, value.value, depth)
        if issubclass(kind, str):
            return self._named(name, str.__str__(value))
        if issubclass(kind, (bool, int, float)):
            return int(value) if issubclass(kind, int) else float(value)
        return self._other(name, kind, value, depth)

    def _other(self, name: str, kind: type, value: Any, depth: int) -> Any:
        if issubclass(kind, (datetime, date, time)):
            return value.isoformat()
        if issubclass(kind, _TOLD_BY_TEXT):
            return self._named(name, str(value))
        if issubclass(kind, BaseException):
            return self._exceptions.message(value) or kind.__name__
        if issubclass(kind, (bytes, bytearray, memoryview)):
            return f"[{len(value)} bytes]"
        if depth < MAX_DEPTH:
            if kind is dict or issubclass(kind, Mapping):
                return {
                    str(key): self.value(str(key), item, depth + 1)
                    for key, item in islice(value.items(), MAX_ITEMS)
                    if type(key) is str or type(key) in PLAIN_TYPES
                }
            if kind is list or kind is tuple or _is_plain_collection(kind):
                return [self.value(name, item, depth + 1) for item in islice(value, MAX_ITEMS)]
        return class_of(value)

    def _named(self, name: str, text: str) -> str:
        if len(text) > self._max_text:
            text = text[: self._max_text]
        return self._redactor.value(name, text)

    # --- arguments of messages

    def message(self, message: Any, arguments: Any) -> str:
        """A message of ``logging`` with its arguments in it."""
        if type(message) is not str:
            message = str(self._argument(message))
        if arguments:
            if type(arguments) is tuple:
                if not _HARMLESS.issuperset(map(type, arguments)):
                    arguments = tuple([self._argument(argument) for argument in arguments])
            else:
                arguments = _ByName(self, arguments)
            message = message % arguments
        return self.text(message)

    def _argument(self, value: Any) -> Any:
        """What may be put into a message in place of ``value``."""
        kind = type(value)
        if kind is str or kind in PLAIN_TYPES:
            return value
        if issubclass(kind, BaseException):
            return _Shown(kind.__name__, self._exceptions.message(value))
        return class_of(value) if would_query(value) else value


class _ByName:
    """The arguments of ``%(name)s``, of any mapping."""

    def __init__(self, fields: Fields, given: Any) -> None:
        self._fields = fields
        self._given = given

    def __getitem__(self, name: str) -> Any:
        if self._fields._redactor.is_sensitive(name):
            return MASK
        return self._fields._argument(self._given[name])

    def __str__(self) -> str:
        return str({str(name): self[name] for name in self._given})


class _Shown:
    """Stands for an exception in a message."""

    def __init__(self, name: str, message: str) -> None:
        self._name = name
        self._message = message

    def __str__(self) -> str:
        return self._message

    def __repr__(self) -> str:
        return f"{self._name}({self._message!r})"


def class_of(value: Any) -> str:
    """``<Order>``: all that is told of an object."""
    return f"<{type(value).__name__}>"


def would_query(value: Any) -> bool:
    """Whether asking for the text of ``value`` would go to the database, or run anybody's code."""
    kind = type(value)
    functional = sys.modules.get("django.utils.functional")
    if functional is not None and issubclass(kind, functional.LazyObject):
        return object.__getattribute__(value, "__dict__").get("_wrapped") is functional.empty
    query = sys.modules.get("django.db.models.query")
    if query is not None and issubclass(kind, query.QuerySet):
        return value._result_cache is None
    return False


def _is_plain_collection(kind: type) -> bool:
    return issubclass(kind, (Sequence, AbstractSet)) and kind.__module__ in {
        "builtins",
        "collections",
    }
