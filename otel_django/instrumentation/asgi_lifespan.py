"""Answers the ASGI lifespan protocol for a bare Django application.

Servers such as uvicorn end a process by the signal that stopped it, so no exit hook runs; what
they do offer is ``lifespan.shutdown`` after the last request. Django refuses the protocol, and an
application that answers it itself never passes it on to Django.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.core.handlers.asgi import ASGIHandler

from otel_django import guard

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.tracing.tracer import Tracer

_call: Callable[..., Any] = ASGIHandler.__call__
_on_shutdown: Callable[[], object] | None = None


class AsgiLifespanInstrumentation:
    """Calls ``on_shutdown`` (in the server's event loop, for a moment) when the server stops."""

    def __init__(self, on_shutdown: Callable[[], object]) -> None:
        self._on_shutdown = on_shutdown

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Patch ``ASGIHandler.__call__``; a second call changes nothing."""
        global _call, _on_shutdown
        _on_shutdown = self._on_shutdown
        if ASGIHandler.__call__ is not _with_lifespan:
            _call = ASGIHandler.__call__
            ASGIHandler.__call__ = _with_lifespan  # type: ignore[method-assign]

    def uninstall(self) -> None:
        """Put Django's back."""
        global _on_shutdown
        _on_shutdown = None
        if ASGIHandler.__call__ is _with_lifespan:
            ASGIHandler.__call__ = _call  # type: ignore[method-assign]


async def _with_lifespan(self: ASGIHandler, scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "lifespan" or _on_shutdown is None:
        await _call(self, scope, receive, send)
        return
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            with guard.guarded("asgi_lifespan"):
                _on_shutdown()
            await send({"type": "lifespan.shutdown.complete"})
            return
