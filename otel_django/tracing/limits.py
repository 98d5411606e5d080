"""Attribute values made plain when they are set, never later.

What reaches the queue is only str, bool, int, float, None, bytes, lists and dicts of these:
a lazy object is evaluated where it was set, and a list changed afterwards changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Union

from otel_django import names

if TYPE_CHECKING:
    from otel_django.conf import SpanLimitSettings
    from otel_django.tracing.redaction import Redactor

Plain = Union[str, bool, int, float, bytes, None, "list[Plain]", "dict[str, Plain]"]

MAX_DEPTH = 8
MAX_ITEMS = 1000
_STATEMENTS: Final = frozenset({names.DB_QUERY_TEXT, "db.statement"})


class Normaliser:
    """Makes foreign values plain, shortens them to the limit and masks secrets.

    ``mask_statement`` takes the values out of SQL that other instrumentations tell.
    """

    def __init__(
        self,
        redactor: Redactor,
        limits: SpanLimitSettings,
        mask_statement: Callable[[str], str] | None = None,
    ) -> None:
        self.redactor = redactor
        self.limits = limits
        self._mask_statement = mask_statement

    def value(self, name: str, value: object) -> Plain:
        """``value`` as it is stored under the attribute ``name``; never raises."""
        kind = type(value)
        if kind is bool or kind is int or kind is float or value is None:
            return value  # type: ignore[return-value]
        try:
            return self._any(name, value, 0)
        except Exception:
            return "[unprintable]"

    def _any(self, name: str, value: object, depth: int) -> Plain:
        if isinstance(value, str):
            return self._text(name, str(value))
        if isinstance(value, bool):
            return bool(value)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value)
        if value is None:
            return None
        if isinstance(value, bytes | bytearray | memoryview):
            return self._bytes(name, bytes(value))
        if depth >= MAX_DEPTH:
            return "[too deep]"
        if isinstance(value, Mapping):
            return self._mapping(name, value, depth)
        if isinstance(value, Sequence | set | frozenset):
            return [self._any(name, item, depth + 1) for item in list(islice(value, MAX_ITEMS))]
        return self._text(name, str(value))

    def _mapping(self, name: str, value: Mapping[object, object], depth: int) -> dict[str, Plain]:
        result: dict[str, Plain] = {}
        for key, item in list(islice(value.items(), MAX_ITEMS)):
            text = str(key)
            result[text] = self._any(f"{name}.{text}", item, depth + 1)
        return result

    def _text(self, name: str, text: str) -> str:
        if name in _STATEMENTS and self._mask_statement is not None:
            text = self._mask_statement(text)
        text = self.redactor.value(name, text)
        limit = self.limits.value_length
        return text if limit is None or len(text) <= limit else text[:limit]

    def _bytes(self, name: str, value: bytes) -> Plain:
        if self.redactor.is_sensitive(name):
            return self._text(name, "")
        limit = self.limits.value_length
        return value if limit is None else value[:limit]

    def attributes(
        self, attributes: Mapping[Any, object] | None, limit: int
    ) -> tuple[dict[str, Plain], int]:
        """A plain copy with at most ``limit`` entries, and how many were left out."""
        if not attributes:
            return {}, 0
        result: dict[str, Plain] = {}
        dropped = 0
        for key, value in attributes.items():
            if not isinstance(key, str) or not key or len(result) >= limit:
                dropped += 1
            else:
                result[key] = self.value(key, value)
        return result, dropped
