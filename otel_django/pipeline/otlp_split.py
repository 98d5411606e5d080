"""Cuts encoded export requests into smaller ones, without decoding the items.

All signals have the same shape: a request of ``Resource…`` messages (field 1), each with a
resource (1), ``Scope…`` messages (2) and a schema URL (3), each of those with a scope (1), items
(2: spans, metrics, log records) and a schema URL (3). Metrics are cut between metrics.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from otel_django.pipeline.protobuf import varint
from otel_django.pipeline.protobuf_reader import LENGTH, fields


class Chunk(NamedTuple):
    """An encoded request and how many items it has."""

    body: bytes
    items: int


class _Item(NamedTuple):
    resource: int
    scope: int
    field: memoryview


class _Frames(NamedTuple):
    resources: list[bytes]
    scopes: list[bytes]


def split(chunk: Chunk, max_bytes: int) -> list[Chunk]:
    """Halve until every part has at most ``max_bytes`` or a single item; order is kept.

    ValueError when the body isn't an export request.
    """
    if len(chunk.body) <= max_bytes:
        return [chunk]
    items, frames = _parse(chunk.body)
    return _halve(chunk, items, frames, max_bytes)


def _halve(chunk: Chunk, items: list[_Item], frames: _Frames, max_bytes: int) -> list[Chunk]:
    if len(chunk.body) <= max_bytes or len(items) <= 1:
        return [chunk]
    middle = len(items) // 2
    parts = []
    for half in (items[:middle], items[middle:]):
        part = Chunk(_build(half, frames), len(half))
        parts += _halve(part, half, frames, max_bytes)
    return parts


def _parse(body: bytes) -> tuple[list[_Item], _Frames]:
    items: list[_Item] = []
    frames = _Frames([], [])
    for number, wire_type, resource, _ in fields(body):
        if (number, wire_type) != (1, LENGTH):
            raise ValueError("not an export request")
        frame = []
        for number_in, _, scope, whole in fields(resource):
            if number_in == 2:
                _parse_scope(scope, len(frames.resources), items, frames)
            else:
                frame.append(whole)
        frames.resources.append(b"".join(frame))
    return items, frames


def _parse_scope(scope: memoryview, resource: int, items: list[_Item], frames: _Frames) -> None:
    index = len(frames.scopes)
    frame = []
    for number, _, _, whole in fields(scope):
        if number == 2:
            items.append(_Item(resource, index, whole))
        else:
            frame.append(whole)
    frames.scopes.append(b"".join(frame))


def _build(items: list[_Item], frames: _Frames) -> bytes:
    request = []
    for resource, of_resource in groupby(items, key=lambda item: item.resource):
        parts = [frames.resources[resource]]
        for scope, of_scope in groupby(of_resource, key=lambda item: item.scope):
            content = frames.scopes[scope] + b"".join(item.field for item in of_scope)
            parts.append(b"\x12" + varint(len(content)) + content)
        content = b"".join(parts)
        request.append(b"\x0a" + varint(len(content)) + content)
    return b"".join(request)
