"""The frame that all signals have in OTLP: items below their scope, scopes below their resource.

``Export…ServiceRequest``, ``Resource…`` and ``Scope…`` have the same fields for spans, metrics and
log records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django.pipeline.protobuf import KeyValues, field, join, total_size, utf8, varint

if TYPE_CHECKING:
    from otel_django.pipeline.pace import Pace

ITEM: Final = b"\x12"
"""The tag of a span, metric or log record within its scope."""

UINT64: Final = (1 << 64) - 1
UINT128: Final = (1 << 128) - 1
_UINT32: Final = (1 << 32) - 1

_RESOURCE_ITEMS: Final = b"\x0a"
_RESOURCE: Final = b"\x0a"
_SCOPE_ITEMS: Final = b"\x12"
_SCOPE: Final = b"\x0a"
_SCOPE_NAME: Final = b"\x0a"
_SCOPE_VERSION: Final = b"\x12"
_SCHEMA_URL: Final = b"\x1a"

_resource_attributes = KeyValues(1)
_scope_attributes = KeyValues(3)


def text(tag: bytes, content: str | None, pace: Pace) -> bytes:
    """A string field; nothing for an empty one."""
    return field(tag, utf8(content, pace), pace) if content else b""


def count(tag: bytes, number: int) -> bytes:
    """A uint32 field; nothing for 0."""
    return tag + varint(min(number, _UINT32)) if number > 0 else b""


def nearest_time(time_ns: float | None) -> int:
    """A time that fits its field: it may have been given in float seconds, or not at all."""
    return min(max(int(time_ns or 0), 0), UINT64)


class _ScopeGroup(NamedTuple):
    """A scope, ready-made (``head`` precedes the items, ``tail`` follows), and its items."""

    head: bytes
    items: list[bytes]
    tail: bytes


class _ResourceGroup(NamedTuple):
    """A resource, ready-made, and its scopes by content."""

    head: bytes
    scopes: dict[bytes, _ScopeGroup]
    tail: bytes


class Groups:
    """Encoded items under their resource and scope, equal ones as one.

    A resource has ``attributes`` and ``schema_url``, a scope ``name``, ``version``, ``schema_url``
    and ``attributes``, as those of the SDK; a scope may be None.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        # The objects are kept beside their ids, lest an id be used again.
        self._by_identity: dict[tuple[int, int], tuple[Any, Any, list[bytes]]] = {}
        self._resources: dict[bytes, _ResourceGroup] = {}

    def items_of(self, resource: Any, scope: Any) -> list[bytes]:
        """Where to append the items of this pair, tags and lengths included."""
        pair = (id(resource), id(scope))
        if pair not in self._by_identity:
            items = self._scope_group(self._resource_group(resource), scope).items
            self._by_identity[pair] = (resource, scope, items)
        return self._by_identity[pair][2]

    def _resource_group(self, resource: Any) -> _ResourceGroup:
        pace = self._pace
        attributes = dict(resource.attributes)
        tail = text(_SCHEMA_URL, resource.schema_url, pace)
        key = _resource_attributes.encode(dict(sorted(attributes.items())), pace) + tail
        group = self._resources.get(key)
        if group is None:
            head = field(_RESOURCE, _resource_attributes.encode(attributes, pace), pace)
            group = self._resources[key] = _ResourceGroup(head, {}, tail)
        return group

    def _scope_group(self, resource: _ResourceGroup, scope: Any) -> _ScopeGroup:
        if scope is None:
            return resource.scopes.setdefault(
                b"", _ScopeGroup(field(_SCOPE, b"", self._pace), [], b"")
            )
        pace = self._pace
        attributes = dict(scope.attributes or {})
        name = text(_SCOPE_NAME, scope.name, pace) + text(_SCOPE_VERSION, scope.version, pace)
        tail = text(_SCHEMA_URL, scope.schema_url, pace)
        key = name + _scope_attributes.encode(dict(sorted(attributes.items())), pace) + tail
        group = resource.scopes.get(key)
        if group is None:
            head = field(_SCOPE, name + _scope_attributes.encode(attributes, pace), pace)
            group = resource.scopes[key] = _ScopeGroup(head, [], tail)
        return group

    def message(self) -> bytes:
        """The whole request."""
        pace = self._pace
        request: list[bytes] = []
        for resource in self._resources.values():
            content: list[bytes] = []
            size = len(resource.head) + len(resource.tail)
            for scope in resource.scopes.values():
                inner = len(scope.head) + total_size(scope.items, pace) + len(scope.tail)
                start = _SCOPE_ITEMS + varint(inner) + scope.head
                content.append(start)
                content += scope.items
                content.append(scope.tail)
                size += len(start) - len(scope.head) + inner
            request.append(_RESOURCE_ITEMS + varint(size) + resource.head)
            request += content
            request.append(resource.tail)
        return join(request, pace)
