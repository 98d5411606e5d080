"""``OTEL_DJANGO_DETAIL=full``: spans for middleware, views, templates, forms and receivers.

INTERNAL spans below the request's, each about 3 µs when recorded. Off by default.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction
from django.core.handlers import base as handlers
from django.dispatch import Signal
from django.forms.forms import BaseForm
from django.template.base import Template
from opentelemetry.trace import SpanKind

from otel_django import names
from otel_django.instrumentation import thrift
from otel_django.tracing.current import attach, detach, recording_span
from otel_django.tracing.exceptions import exception_type

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.tracing.tracer import Tracer

_tracer: Tracer | None = None


class DetailInstrumentation:
    """Patches classes; handlers made before ``install`` have no middleware spans."""

    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, Any, Any]] = []

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Patch; a second call only changes the tracer."""
        global _tracer
        _tracer = tracer
        if self._undo:
            return
        self._replace(handlers, "convert_exception_to_response", _named_middleware)
        self._replace(handlers.BaseHandler, "make_view_atomic", _named_view)
        self._replace(Template, "render", _named_template)
        self._replace(BaseForm, "full_clean", _named_form)
        self._replace(Signal, "_live_receivers", _named_receivers)

    def uninstall(self) -> None:
        """Put back what is still ours; chains that were built meanwhile pass straight through."""
        global _tracer
        _tracer = None
        for owner, attribute, original, ours in self._undo:
            if getattr(owner, attribute) is ours:
                setattr(owner, attribute, original)
        self._undo = []

    def _replace(self, owner: Any, attribute: str, make: Callable[[Any], Any]) -> None:
        original = getattr(owner, attribute)
        ours = make(original)
        setattr(owner, attribute, ours)
        self._undo.append((owner, attribute, original, ours))


class _Inside:
    """``with _Inside(name):`` a child span, current, if a recorded span is."""

    __slots__ = ("_name", "_span", "_token")

    def __init__(self, name: str) -> None:
        self._name = name
        self._span: Any = None

    def __enter__(self) -> None:
        tracer = None if thrift.on else _tracer
        parent = recording_span()
        if tracer is not None and parent is not None:
            self._span = tracer.begin(self._name, SpanKind.INTERNAL, {}, parent)
            self._token = attach(self._span)

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None:
        span = self._span
        if span is not None:
            detach(self._token)
            if exc is not None:
                span.fail(exception_type(exc))
            span.end()


def _within(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` inside a span called ``name``; a coroutine function stays one."""
    if iscoroutinefunction(function):

        @wraps(function)
        async def inside_async(*args: Any, **kwargs: Any) -> Any:
            with _Inside(name):
                return await function(*args, **kwargs)

        return inside_async

    @wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with _Inside(name):
            return function(*args, **kwargs)

    return inside


def _path_of(thing: Any) -> str:
    thing = getattr(thing, "view_class", thing)
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}.{named.__qualname__}"


def _named_middleware(original: Callable[..., Any]) -> Callable[..., Any]:
    """``convert_exception_to_response``: called once a middleware when a handler is set up."""

    def convert(get_response: Any) -> Any:
        converted = original(get_response)
        if isinstance(getattr(get_response, "__self__", None), handlers.BaseHandler):
            return converted  # the innermost: no middleware
        # Function-based middleware is a function inside its factory.
        path = _path_of(get_response).partition(".<locals>")[0]
        return _within(f"{names.MIDDLEWARE_SPAN} {path}", converted)

    return convert


def _named_view(original: Callable[..., Any]) -> Callable[..., Any]:
    def make_view_atomic(self: Any, view: Any) -> Any:
        made = original(self, view)
        if _tracer is None:
            return made
        return _within(f"{names.VIEW_SPAN} {_path_of(view)}", made)

    return make_view_atomic


def _named_template(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def render(self: Any, context: Any) -> Any:
        if _tracer is None:
            return original(self, context)
        with _Inside(f"{names.TEMPLATE_SPAN} {self.name or '(inline)'}"):
            return original(self, context)

    return render


def _named_form(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def full_clean(self: Any) -> Any:
        if _tracer is None:
            return original(self)
        with _Inside(f"{names.FORM_SPAN} {_path_of(type(self))}"):
            return original(self)

    return full_clean


def _named_receivers(original: Callable[..., Any]) -> Callable[..., Any]:
    """``Signal._live_receivers``: a list, in newer versions a sync and an async one."""

    def live_receivers(self: Signal, sender: Any) -> Any:
        found = original(self, sender)
        if _tracer is None or thrift.on or recording_span() is None:
            return found
        if isinstance(found, tuple):
            return tuple([_receiver(each) for each in group] for group in found)
        return [_receiver(each) for each in found]

    return live_receivers


def _receiver(receiver: Any) -> Any:
    """The site's own receivers in a span; the framework's are many and say little."""
    path = _path_of(receiver)
    if path.startswith(("django.", "otel_django.")):
        return receiver
    return _within(f"{names.RECEIVER_SPAN} {path}", receiver)
