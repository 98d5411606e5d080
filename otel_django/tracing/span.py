"""The cheap span: slots, a plain dict of attributes, no lock, no copy when it ends.

It is an ``opentelemetry.trace.Span`` to those who write it and a ``ReadableSpan`` to processors
and exporters.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from time import time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import Event as SdkEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link as ApiLink
from opentelemetry.trace import Span as ApiSpan
from opentelemetry.trace import SpanContext, SpanKind
from opentelemetry.trace.status import Status, StatusCode

from otel_django import names
from otel_django.tracing.exceptions import exception_text, exception_type
from otel_django.tracing.span_parts import of_origin, rarely

if TYPE_CHECKING:
    from opentelemetry.util.types import Attributes, AttributeValue

    from otel_django.tracing.limits import Plain
    from otel_django.tracing.local_trace import LocalTrace
    from otel_django.tracing.span_parts import Rare, SharedAttributes
    from otel_django.tracing.tracer import Tracer

_logger = logging.getLogger(__name__)

UNSET = Status(StatusCode.UNSET)
ERROR = Status(StatusCode.ERROR)
LARGE_CHARACTERS = 1024
"""A text longer than this is accounted for one by one in the queue's byte budget."""


class Event(SdkEvent):
    """A span event with plain attributes."""

    __slots__ = ("_dropped",)

    def __init__(
        self, name: str, attributes: dict[str, Plain], timestamp: int, dropped: int
    ) -> None:
        self._name = name
        self._timestamp = timestamp
        self._attributes = attributes
        self._dropped = dropped

    @property
    def dropped_attributes(self) -> int:
        """Attributes left out by the limit."""
        return self._dropped


class Link(ApiLink):
    """A link with plain attributes."""

    def __init__(self, context: SpanContext, attributes: dict[str, Plain], dropped: int) -> None:
        self._context = context
        self._attributes = attributes
        self._dropped = dropped

    @property
    def dropped_attributes(self) -> int:
        """Attributes left out by the limit."""
        return self._dropped


class Span(ApiSpan, ReadableSpan):
    """A recorded span. Made by ``Tracer``; times are nanoseconds since the Unix epoch."""

    __slots__ = (
        "_context",
        "_end_time",
        "_kind",
        "_large_bytes",
        "_local",
        "_name",
        "_origin",
        "_own",
        "_parent",
        "_rare",
        "_shared",
        "_start_time",
        "_status",
        "_tracer",
    )

    # What a base class has as optional is always there.
    _context: SpanContext
    _start_time: int
    _end_time: Any  # int once ended, None before

    # Each slot costs every span time and memory: what few spans have, or many share, has none.
    _resource = of_origin("resource")
    _instrumentation_scope = of_origin("scope")
    _instrumentation_info = of_origin("info")
    _events = rarely("events")
    _links = rarely("links")
    _export_state = rarely("export_state")
    _dropped_attributes: int = rarely("dropped_attributes")
    _dropped_events: int = rarely("dropped_events")
    _dropped_links: int = rarely("dropped_links")
    _on_exit = rarely("on_exit")

    def __init__(
        self,
        tracer: Tracer,
        local: LocalTrace,
        name: str,
        kind: SpanKind,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: dict[str, Plain],
        start_time: int,
        shared: SharedAttributes | None = None,
    ) -> None:
        self._tracer = tracer
        self._local = local
        self._name = name
        self._kind = kind
        self._context = context
        self._parent = parent
        self._own: Any = attributes
        self._shared = shared
        self._start_time = start_time
        self._end_time = None
        self._status = UNSET
        self._origin = tracer.origin
        self._rare: Rare | None = None
        self._large_bytes = 0

    def __repr__(self) -> str:
        return f'Span(name="{self._name}", context={self._context})'

    @property
    def _attributes(self) -> Any:
        """All attributes, a plain dict; it may be changed."""
        shared = self._shared
        if shared is not None:
            self._own = {**shared.values, **self._own}
            self._shared = None
        return self._own

    @_attributes.setter
    def _attributes(self, attributes: Any) -> None:
        self._own = attributes
        self._shared = None

    # --- what instrumentations of ours call: plain, safe values, no checks

    def note(self, key: str, value: Plain) -> None:
        """Set one attribute that is known to be plain, safe and within the limits."""
        shared = self._shared
        (self._own if shared is None or key not in shared.values else self._attributes)[key] = value

    def fail(self, error_type: str, description: str | None = None) -> None:
        """Mark as failed: status ERROR and ``error.type``; ``description`` must be safe."""
        self.note(names.ERROR_TYPE, error_type)
        self._status = Status(StatusCode.ERROR, description) if description else ERROR
        self._local.errors = True

    def local_root(self) -> LocalTrace:
        """What the spans of this process's part of the trace share."""
        return self._local

    # --- the API

    def get_span_context(self) -> SpanContext:
        """The span's identity."""
        return self._context

    def is_recording(self) -> bool:
        """True until it ends."""
        return self._end_time is None

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set an attribute; the value is made plain, shortened and redacted now."""
        if self._end_time is not None:
            _logger.warning("Setting attribute on ended span.")
            return
        if not key or not isinstance(key, str):
            self._count_dropped("_dropped_attributes")
            return
        attributes = self._attributes
        normaliser = self._tracer.normaliser
        if key not in attributes and len(attributes) >= normaliser.limits.attributes:
            self._count_dropped("_dropped_attributes")
            return
        plain = normaliser.value(key, value)
        attributes[key] = plain
        if type(plain) is not int and type(plain) is not bool:
            self._account(plain)

    def _count_dropped(self, what: str) -> None:
        with self._tracer.provider.write_lock:
            setattr(self, what, getattr(self, what) + 1)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set several attributes."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def _account(self, plain: object) -> None:
        if isinstance(plain, str | bytes):
            if len(plain) > LARGE_CHARACTERS:
                self._large_bytes += len(plain)
        elif isinstance(plain, list | dict):
            self._large_bytes += 64 + sum(
                len(item) if isinstance(item, str | bytes) else 64
                for item in (plain if isinstance(plain, list) else plain.values())
            )

    def add_event(
        self, name: str, attributes: Attributes = None, timestamp: int | None = None
    ) -> None:
        """Add an event; ``timestamp`` in nanoseconds since the epoch, now by default."""
        if self._end_time is not None:
            _logger.warning("Adding event to ended span.")
            return
        normaliser = self._tracer.normaliser
        plain, dropped = normaliser.attributes(attributes, normaliser.limits.event_attributes)
        self.append_event(Event(str(name), plain, timestamp or time_ns(), dropped))

    def append_event(self, event: Event) -> None:
        """Add an event whose attributes are plain and safe already."""
        with self._tracer.provider.write_lock:
            events = self._events
            if len(events) >= self._tracer.normaliser.limits.events:
                self._dropped_events += 1
                return
            if events:
                events.append(event)
            else:
                self._events = [event]
        self._large_bytes += 256
        for value in (event._attributes or {}).values():
            self._account(value)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Add a link to another span."""
        if self._end_time is not None:
            _logger.warning("Adding link to ended span.")
            return
        if context is None or not (context.is_valid or attributes or context.trace_state):
            return
        limits = self._tracer.normaliser.limits
        plain, dropped = self._tracer.normaliser.attributes(attributes, limits.link_attributes)
        with self._tracer.provider.write_lock:
            if len(self._links) >= limits.links:
                self._dropped_links += 1
                return
            self._links = [*self._links, Link(context, plain, dropped)]
        self._large_bytes += 128

    def update_name(self, name: str) -> None:
        """Rename the span."""
        if self._end_time is not None:
            _logger.warning("Updating name of ended span.")
            return
        self._name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status; OK is final, UNSET is ignored, the description is redacted."""
        if self._end_time is not None:
            _logger.warning("Setting status of ended span.")
            return
        if isinstance(status, Status):
            code, description = status.status_code, status.description
        else:
            code = status
        if self._status.status_code is StatusCode.OK or code is StatusCode.UNSET:
            return
        if code is not StatusCode.ERROR:
            self._status = Status(code)
            return
        self._local.errors = True
        self._status = Status(code, self._description(description)) if description else ERROR

    def _description(self, description: str) -> str:
        """A safe description; the API's ``use_span`` puts the exception's own text into it."""
        exc = sys.exc_info()[1]
        if exc is not None:
            own = exception_text(exc)
            if own and own in description:
                safe = self._tracer.exceptions.message(exc)
                return self._tracer.normaliser.redactor.text(description.replace(own, safe))
        return self._tracer.normaliser.redactor.text(description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add the exception as an event: type, redacted message, stack trace without values."""
        if self._end_time is not None:
            _logger.warning("Recording exception on ended span.")
            return
        tracer = self._tracer
        if not tracer.exception_events:
            return
        plain: dict[str, Plain] = {**tracer.exceptions.attributes(exception)}
        dropped = 0
        if attributes:
            limit = tracer.normaliser.limits.event_attributes
            more, dropped = tracer.normaliser.attributes(attributes, limit)
            plain.update(more)
        self.append_event(Event(names.EXCEPTION_EVENT, plain, timestamp or time_ns(), dropped))

    def end(self, end_time: int | None = None) -> None:
        """End the span and hand it on; a second call changes nothing."""
        if self._end_time is not None:
            _logger.warning("Calling end() on an ended span.")
            return
        now = time_ns() if end_time is None else end_time
        local = self._local
        is_root = local.root is self
        if is_root and local.finish is not None:
            local.finish(self)
        if now < self._start_time:  # noqa: PLR1730 - once a span: a call costs three times as much
            now = self._start_time
        tracer = self._tracer
        straight = tracer.straight
        if local.generation != tracer.generation:
            self._end_time = now  # began before a fork: the parent process ends it
        elif straight is not None:
            self._end_time = now
            straight(self)  # what ``emit`` does then
        else:
            if tracer.processors:
                self._own = self._attributes  # put together before other threads may see the span
                tracer.provider.ending(self, now)
            else:
                self._end_time = now
            tracer.emit(self)
        if is_root:
            # Root and local trace hold each other: it would take the collector of cycles to free
            # the spans of each request.
            local.root = None

    def relinquish(self) -> None:
        """End a local root without handing it on: another process knows its ids and tells of it.

        It has failed; what was recorded below it leaves as below a root that failed here.
        """
        if self._end_time is not None:
            return
        self._end_time = max(time_ns(), self._start_time)
        self._local.errors = True
        self._tracer.provider.relinquish(self)
        self._local.root = None

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """End; an exception is recorded and sets the status, as asked for at the start."""
        if exc_val is not None and self._end_time is None:
            if self._on_exit & 1:
                self.record_exception(exc_val, escaped=True)
            if self._on_exit & 2:
                self._attributes.setdefault(names.ERROR_TYPE, exception_type(exc_val))
                message = self._tracer.exceptions.message(exc_val)
                self.set_status(StatusCode.ERROR, f"{type(exc_val).__name__}: {message}")
        self.end()

    # --- ReadableSpan

    @property
    def dropped_attributes(self) -> int:
        """Attributes left out by the limit."""
        return self._dropped_attributes

    @property
    def dropped_events(self) -> int:
        """Events left out by the limit."""
        return self._dropped_events

    @property
    def dropped_links(self) -> int:
        """Links left out by the limit."""
        return self._dropped_links

    @property
    def events(self) -> Sequence[SdkEvent]:
        """The events in the order they were added."""
        return tuple(self._events)

    @property
    def links(self) -> Sequence[ApiLink]:
        """The links in the order they were added."""
        return tuple(self._links)
