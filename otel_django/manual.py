"""Spans of a site's own: ``with span("checkout.pay"):`` and ``@traced``.

Importing this is light. Where nobody traces, both cost next to nothing and load nothing of
OpenTelemetry.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from otel_django import guard, names

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext

    from otel_django.tracing.opened import Opener, Steps

Function = TypeVar(
    "Function",
    bound="Callable[..., Any] | classmethod[Any, ..., Any] | staticmethod[..., Any]",
)


class NoSpan:
    """What a block is given where nobody traces: the API's methods, without effect."""

    __slots__ = ()

    def _ignore(self, *args: object, **kwargs: object) -> None:
        """Nothing."""

    set_attribute = set_attributes = add_event = add_link = _ignore
    update_name = set_status = record_exception = end = _ignore

    def is_recording(self) -> bool:
        """Never."""
        return False

    def get_span_context(self) -> SpanContext:
        """The API's invalid context."""
        from opentelemetry.trace import INVALID_SPAN_CONTEXT

        return INVALID_SPAN_CONTEXT


_NO_SPAN = cast("Span", NoSpan())
_opener_in_use: Opener | None = None


def _opener() -> Opener | None:
    """For the tracer provider in charge; None where there is none."""
    provider = getattr(sys.modules.get("opentelemetry.trace"), "_TRACER_PROVIDER", None)
    if provider is None:
        return None
    opener = _opener_in_use
    return opener if opener is not None and opener.provider is provider else _made(provider)


def _made(provider: Any) -> Opener | None:
    global _opener_in_use
    try:
        from otel_django.tracing.opened import Opener

        _opener_in_use = Opener(provider)
    except Exception:
        guard.caught("span.provider")
        return None
    return _opener_in_use


class _Block:
    """A span around a block of code."""

    __slots__ = ("_attributes", "_name", "_opener", "_span", "_token")

    def __init__(self, name: str, attributes: dict[str, Any]) -> None:
        self._name = name
        self._attributes = attributes

    def __enter__(self) -> Span:
        self._opener = opener = _opener()
        if opener is not None:
            try:
                self._span, self._token = opener.open(self._name, self._attributes)
                return self._span
            except Exception:
                self._opener = None
                guard.caught("span.open")
        return _NO_SPAN

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._opener is not None:
            self._opener.close(self._span, self._token, exc)


class span(_Block):  # noqa: N801 - read as a verb, as contextlib's
    """A span around a block: ``with span("checkout.pay", order_id=7) as s: ...``.

    A child of the span that is current, which it replaces until the block is left; outside any
    trace the first of its own. ``s`` is an ``opentelemetry.trace.Span``. Attributes whose names
    aren't Python's: ``**{"order.total": 12}``. An exception that leaves the block is recorded,
    marks the span as failed, and goes on; a cancelled task or a closed generator hasn't failed.
    What ``span(...)`` returns is for one block at a time.
    """

    __slots__ = ()

    def __init__(self, name: str, /, **attributes: object) -> None:
        self._name = name
        self._attributes = attributes


@overload
def traced(function: Function, /) -> Function: ...
@overload
def traced(name: str | None = None, /, **attributes: object) -> Callable[[Function], Function]: ...
def traced(given: Any = None, /, **attributes: object) -> Any:
    """A span around each call: ``@traced``, or ``@traced("cart.total", currency="EUR")``.

    For functions and methods, coroutine functions, generators and asynchronous generators; nothing
    but the decorator's own ``attributes`` and the function's name (``code.function.name``) is
    recorded of a call. Without a name the span has the function's qualified one (``Cart.total``). A
    generator's span begins with its first step and is current while its body runs only. Other
    decorators that make an object of the function (``@property``, ``@shared_task``) go above.

    Raises:
        TypeError: for what is no function.
    """
    if given is None or isinstance(given, str):
        return functools.partial(_decorated, name=given, attributes=attributes)
    return _decorated(given, None, attributes)


def _decorated(function: Any, name: str | None, attributes: dict[str, Any]) -> Any:
    if isinstance(function, classmethod | staticmethod):
        return type(function)(_decorated(function.__func__, name, attributes))
    if not (inspect.isroutine(function) or isinstance(function, functools.partial)):
        raise TypeError(
            f"traced is for functions, not {function!r}: put it below the decorators that make "
            "something else of the function"
        )
    qualified = str(getattr(function, "__qualname__", type(function).__name__))
    module = getattr(function, "__module__", None)
    attributes = {
        names.CODE_FUNCTION_NAME: f"{module}.{qualified}" if module else qualified,
        **attributes,
    }
    return _wrapper_for(function)(function, name or qualified, attributes)


def _wrapper_for(function: Any) -> Callable[[Any, str, dict[str, Any]], Any]:
    # _is_coroutine: how asgiref marks functions that return coroutines, before Python 3.12
    if inspect.iscoroutinefunction(function) or hasattr(function, "_is_coroutine"):
        return _coroutine_function
    if inspect.isgeneratorfunction(function):
        return _generator_function
    if inspect.isasyncgenfunction(function):
        return _async_generator_function
    return _function


def _function(function: Any, name: str, attributes: dict[str, Any]) -> Any:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _Block(name, attributes):
            return function(*args, **kwargs)

    return call


def _coroutine_function(function: Any, name: str, attributes: dict[str, Any]) -> Any:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        with _Block(name, attributes):
            return await function(*args, **kwargs)

    return call


def _generator_function(function: Any, name: str, attributes: dict[str, Any]) -> Any:
    @functools.wraps(function)
    def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        body = function(*args, **kwargs)
        steps = _steps(name, attributes)
        if steps is None:
            return (yield from body)
        step, given = body.send, None
        try:
            while True:
                steps.resume()
                try:
                    item = step(given)
                finally:
                    given = None
                    steps.suspend()
                try:
                    step, given = body.send, (yield item)
                except BaseException as exc:  # a GeneratorExit too: the body is to see it
                    step, given = body.throw, exc
        except StopIteration as stop:
            steps.end()
            return stop.value
        except BaseException as exc:
            steps.end(exc)
            raise

    return generate


def _async_generator_function(function: Any, name: str, attributes: dict[str, Any]) -> Any:
    @functools.wraps(function)
    async def generate(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        body = function(*args, **kwargs)
        steps = _steps(name, attributes) or _NoSteps()
        step, given = body.asend, None
        try:
            while True:
                steps.resume()
                try:
                    item = await step(given)
                finally:
                    given = None
                    steps.suspend()
                try:
                    step, given = body.asend, (yield item)
                except BaseException as exc:
                    step, given = body.athrow, exc
        except StopAsyncIteration:
            steps.end()
        except BaseException as exc:
            steps.end(exc)
            raise

    return generate


class _NoSteps:
    """In place of ``Steps`` where nobody traces: a generator that can't hand over to its body."""

    def _ignore(self, exc: BaseException | None = None) -> None:
        """Nothing."""

    resume = suspend = end = _ignore


def _steps(name: str, attributes: dict[str, Any]) -> Steps | None:
    opener = _opener()
    if opener is not None:
        with guard.guarded("span.steps"):
            return opener.steps(name, attributes)
    return None
