"""Streamed bodies: made with the request's span current, and watched to their end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from otel_django.tracing.current import detach, set_context

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase
    from opentelemetry.context import Context


class Served(Protocol):
    """What the bodies tell about themselves."""

    context: Context
    broken_off: bool
    watched: bool
    response_bytes: int | None

    def escaped(self, exc: BaseException) -> None:
        """Making the body raised."""
        ...


def keep_current(response: HttpResponseBase, served: Served) -> None:
    """Let the body's iterator run in the request's context.

    A file is left alone: setting the content of a ``FileResponse`` would lose ``sendfile``. The
    iterator is replaced, not ``streaming_content``, which would convert every chunk twice.
    """
    from django.http import FileResponse

    iterator = getattr(response, "_iterator", None)
    if iterator is None or isinstance(response, FileResponse):
        return
    body = AsyncBody if getattr(response, "is_async", False) else Body
    response._iterator = body(iterator, served)  # type: ignore[attr-defined]


def count(served: Served, chunk: Any) -> None:
    """Add a chunk to the body's size, as it will be sent."""
    size = served.response_bytes
    if size is not None:
        chunk = chunk if isinstance(chunk, bytes) else str(chunk).encode()
        served.response_bytes = size + len(chunk)


class Body:
    """An iterator over a streamed body's chunks."""

    __slots__ = ("_next", "_served")

    def __init__(self, iterator: Iterator[Any], served: Served) -> None:
        self._next = iterator.__next__
        self._served = served

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        served = self._served
        served.broken_off = True  # until the end proves the opposite
        token = set_context(served.context)
        try:
            chunk = self._next()
            if served.watched:
                count(served, chunk)
            return chunk
        except StopIteration:
            served.broken_off = False
            raise
        except BaseException as exc:
            served.broken_off = False
            served.escaped(exc)
            raise
        finally:
            detach(token)


class AsyncBody:
    """The same for an asynchronous iterator."""

    __slots__ = ("_next", "_served")

    def __init__(self, iterator: AsyncIterator[Any], served: Served) -> None:
        self._next = iterator.__anext__
        self._served = served

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        served = self._served
        served.broken_off = True
        token = set_context(served.context)
        try:
            chunk = await self._next()
            if served.watched:
                count(served, chunk)
            return chunk
        except StopAsyncIteration:
            served.broken_off = False
            raise
        except BaseException as exc:
            served.broken_off = False
            served.escaped(exc)
            raise
        finally:
            detach(token)
