"""The Protocols of the extension points; parts of one layer meet here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.tracing.span import Span
    from otel_django.tracing.tracer import Tracer


class Sink(Protocol):
    """Where the worker thread puts finished spans. Every method but ``spill`` runs on the worker thread."""

    def accept(self, batch: Sequence[Span]) -> None:
        """Take ended spans; never raises, returns soon."""
        ...

    def spill(self, batch: Sequence[Span]) -> None:
        """The queue is full: keep the batch without network; called on a request's thread."""
        ...

    def poll(self, now_s: float) -> float | None:
        """Do what is due at monotonic time ``now_s``; seconds until wanted again, None: no wish."""
        ...

    def flush(self, deadline_s: float) -> bool:
        """Hand on what is held, until the monotonic ``deadline_s``; True if nothing is left."""
        ...

    def close(self, deadline_s: float) -> None:
        """Flush, keep on disk what couldn't be sent, release files and connections."""
        ...

    def after_fork(self) -> None:
        """In a forked child, before its first use: let go of the parent's files and connections."""
        ...


class Instrumentation(Protocol):
    """One instrumented library."""

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Patch; a second call changes nothing."""
        ...

    def uninstall(self) -> None:
        """Put back what ``install`` changed."""
        ...
