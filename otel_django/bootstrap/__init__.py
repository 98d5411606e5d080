"""One runtime a process: the only package that names concrete classes."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from otel_django import guard

if TYPE_CHECKING:
    from otel_django.bootstrap.process import Runtime
    from otel_django.conf import Settings

_logger = logging.getLogger(guard.LOGGER_NAME)

_lock = threading.Lock()
_runtime: Runtime | None = None


def wanted(settings: Settings) -> bool:
    """Whether this process is to be observed: servers, workers, the commands that are chosen."""
    from otel_django.host_environment import current_process

    if settings.sdk_disabled or settings.enabled is False:
        return False
    if settings.enabled is True:
        return True
    process = current_process()
    if process.kind == "command" and process.command is not None:
        from otel_django.command_choice import CommandChoice

        return CommandChoice(settings).covers(process.command)
    return process.kind == "server"


def start(settings: Settings) -> Runtime | None:
    """Start this process's runtime; a second call returns the first one's.

    A guest's where the SDK's tracer provider is in charge already; None where another one is.
    """
    global _runtime
    with _lock:
        if _runtime is None:
            guard.set_strict(settings.strict)
            _runtime = _made(settings)
            if _runtime is not None:
                _runtime.start()
                _say_problems(settings)
        return _runtime


def _say_problems(settings: Settings) -> None:
    """Servers and workers don't run Django's system checks, which tell more."""
    unusable = sorted({problem.name for problem in settings.problems if problem.kind == "value"})
    if unusable:
        _logger.warning(
            "Settings that otel_django can't use and goes on without: %s. "
            "`manage.py check` says why, and what to write instead.",
            ", ".join(unusable),
        )


def _made(settings: Settings) -> Runtime | None:
    from otel_django.tracing import in_charge

    provider = in_charge.provider_in_charge()
    if provider is None:
        from otel_django.bootstrap.process import Runtime

        return Runtime(settings)
    host = in_charge.as_host(provider)
    if host is None:
        _logger.warning(
            "The tracer provider %s was set up before otel_django, which can't record on it and "
            "leaves it alone.",
            in_charge.describe(provider),
        )
        return None
    from otel_django.bootstrap.guest import GuestRuntime

    return GuestRuntime(settings, host)


def runtime() -> Runtime | None:
    """This process's runtime, or None when it isn't observed."""
    return _runtime


def flush(timeout_s: float = 10.0) -> bool:
    """Flush this process's runtime, if there is one."""
    return _runtime is None or _runtime.flush(timeout_s)
