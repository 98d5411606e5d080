"""What the store reads of a span."""

from __future__ import annotations

from typing import Any, Protocol


class SpanLike(Protocol):
    """An ended span: one of this process's, or one that another process sent.

    Contexts are as ``SpanContext``, the parent's says whether it is in another process; times are
    nanoseconds since the epoch. ``_attributes`` are all, ``_own`` those that aren't in ``_shared``,
    which is None or has ``values``. ``_resource`` has ``attributes``, ``_instrumentation_scope``
    ``name`` and ``version``; the same objects stand for the same values for as long as they live.
    """

    _name: str
    _context: Any
    _parent: Any
    _kind: Any
    _start_time: Any
    _end_time: Any
    _status: Any
    _events: Any
    _links: Any
    _shared: Any
    _own: Any
    _export_state: Any
    _dropped_attributes: int
    _dropped_events: int
    _dropped_links: int
    _large_bytes: int

    @property
    def _attributes(self) -> Any: ...

    @property
    def _resource(self) -> Any: ...

    @property
    def _instrumentation_scope(self) -> Any: ...
