"""Attributes of users' measurements: copied, made plain, cleared of secrets, sorted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from otel_django.metric_points import Attributes
    from otel_django.metrics.shards import Values

Redact = Callable[[str, str], str]
"""A text as it may leave under an attribute's name."""

MAX_ITEMS: Final = 100
_SIMPLE: Final = frozenset({str, int, bool, float})


class AttributeKeys:
    """The values under which measurements with given attributes are summed.

    They are the attributes' pairs sorted by name. What Python takes for equal and the data model
    doesn't (1, 1.0 and True) is told apart by its type, a third part of the pair. Up to ``limit``
    sets of attributes are known and found fast.
    """

    def __init__(self, redact: Redact, limit: int) -> None:
        self._redact = redact
        self._limit = limit
        self._known: dict[Values, Values] = {}

    def of(self, attributes: Mapping[str, Any] | None) -> Values:
        """The values for these attributes; what is None, or has no name, is left out."""
        if not attributes:
            return ()
        raw = tuple([(key, value, type(value)) for key, value in attributes.items()])
        try:
            known = self._known.get(raw)
        except TypeError:  # a list, which can't be a key
            return self._plain(attributes)
        if known is None:
            known = self._plain(attributes)
            if len(self._known) < self._limit and all(each[2] in _SIMPLE for each in raw):
                self._known[raw] = known
        return known

    def _plain(self, attributes: Mapping[str, Any]) -> Values:
        pairs = [
            self._pair(key, value)
            for key, value in attributes.items()
            if value is not None and isinstance(key, str) and key
        ]
        return tuple(sorted(pairs, key=lambda pair: pair[0]))

    def _pair(self, key: str, value: object) -> tuple[Any, ...]:
        plain = self._value(key, value)
        if isinstance(plain, str):
            return key, plain
        kinds = tuple(map(type, plain)) if isinstance(plain, tuple) else type(plain)
        return key, plain, kinds

    def _value(self, key: str, value: object) -> Any:
        if isinstance(value, str):
            return self._redact(key, str(value))
        for kind in (bool, int, float):
            if isinstance(value, kind):
                return kind(value)
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
            items = [self._value(key, item) for item in islice(value, MAX_ITEMS)]
            alike = len(set(map(type, items))) <= 1 and not isinstance(next(iter(items), 0), tuple)
            return tuple(items) if alike else tuple(map(str, items))
        return self._redact(key, _text(value))


def attributes_of(values: Values) -> Attributes:
    """The attributes that ``AttributeKeys`` made ``values`` of."""
    return tuple((pair[0], pair[1]) for pair in values)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return "[unprintable]"
