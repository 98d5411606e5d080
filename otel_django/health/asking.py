"""Ask one check, on a thread of its own, and make sense of whatever it does."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import math
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextvars import copy_context
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard, host_environment
from otel_django.health.results import VALUES, CheckError, Result

if TYPE_CHECKING:
    from otel_django.health.check import Registered

_logger = logging.getLogger(guard.LOGGER_NAME)
MOST_RESULTS: Final = 1000
LONGEST: Final = 1000
"""Characters of a message."""
_logged: dict[str, str] = {}
"""What was logged last of a check, by its name."""
_POLL_S: Final = 0.01
_LATER_S: Final = 0.1
"""An asynchronous check is cancelled when it has been given up already."""


class _Unusable(Exception):
    """What a check returned can't be used; the text says why."""


def ask(check: Registered, timeout_s: float) -> tuple[Result, ...]:
    """What it found. It raises nothing, whatever the check does.

    Nothing that the check calls is traced, and Django's connections of this thread are closed.
    """
    try:
        with _untraced(), _connections_closed():
            found = check.run()
            if inspect.isawaitable(found):
                found = _waited_for(found, timeout_s + _LATER_S)
            results = _results(found)
    except CheckError as error:
        results = (Result("unhealthy", _short(str(error))),)
    except _Unusable as error:
        _log(check.name, str(error))
        return (Result("unhealthy", str(error)),)
    except BaseException as error:  # CancelledError and SystemExit are failures of the check, too
        _log(check.name, f"failed ({guard.what_failed()})")
        return (Result("unhealthy", f"raised {type(error).__name__}"),)
    _logged.pop(check.name, None)
    return results


def _log(name: str, fault: str) -> None:
    """Once, until it is another fault."""
    if _logged.get(name) != fault:
        _logged[name] = fault
        _logger.warning("The health check %s %s.", name, fault)


def timed_out(timeout_s: float) -> tuple[Result, ...]:
    """What counts for a check that is still out."""
    return (Result("unhealthy", f"did not come back within {timeout_s:g} s"),)


# --- where it runs


@contextlib.contextmanager
def _untraced() -> Iterator[None]:
    """Without OpenTelemetry in the process there is nothing to do, and no reason to load it."""
    if "opentelemetry.context" not in sys.modules:
        yield
        return
    from opentelemetry.context import Context

    from otel_django.tracing.current import SUPPRESS_KEY, reset_context, set_context

    token = set_context(Context({SUPPRESS_KEY: True}))
    try:
        yield
    finally:
        reset_context(token)


@contextlib.contextmanager
def _connections_closed() -> Iterator[None]:
    try:
        yield
    finally:
        _close_connections()


def _close_connections() -> None:
    database = sys.modules.get("django.db")
    if database is not None:
        with contextlib.suppress(Exception):  # the server is away
            database.connections.close_all()


def _waited_for(found: Awaitable[Any], timeout_s: float) -> Any:
    """What it comes to, on an event loop of its own.

    Where threads are greenlets the loop needs one of the system's threads for itself: in theirs,
    all that the site does meanwhile would seem to be asynchronous, and Django would refuse its
    queries.
    """
    context = copy_context()

    def run() -> Any:
        return context.run(asyncio.run, _awaited(found, timeout_s))

    outcome = _in_a_thread(run) if host_environment.has_greenlets() else run()
    if isinstance(outcome, _Raised):
        raise outcome.error
    return outcome


def _in_a_thread(run: Callable[[], Any]) -> Any:
    """What it returns, on one of the system's threads; the greenlet that waits lets others run."""
    if "gevent" in sys.modules:
        from gevent.monkey import get_original

        start = get_original("_thread", "start_new_thread")
    else:
        from eventlet.patcher import original

        start = original("_thread").start_new_thread
    outcome: list[Any] = []

    def keep() -> None:
        try:
            outcome.append(run())
        except BaseException as error:
            outcome.append(_Raised(error))

    start(keep, ())
    while not outcome:
        time.sleep(_POLL_S)
    return outcome[0]


async def _awaited(found: Awaitable[Any], timeout_s: float) -> Any:
    """What it comes to; synchronous code that it calls has a thread of its own, too."""
    from asgiref.sync import ThreadSensitiveContext, sync_to_async

    async with ThreadSensitiveContext():
        try:
            return await asyncio.wait_for(_caught(found), timeout_s)
        finally:
            if "django.db" in sys.modules and not host_environment.has_greenlets():
                await sync_to_async(_close_connections)()  # a greenlet's end does it, too


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error


async def _caught(found: Awaitable[Any]) -> Any:
    """A task would end the loop for SystemExit, and take CancelledError for its own."""
    try:
        return await found
    except BaseException as error:
        return _Raised(error)


# --- what it returned


def _results(found: Any) -> tuple[Result, ...]:
    if found is None:
        return (Result(),)
    if isinstance(found, Result):
        return (_plain(found),)
    if isinstance(found, (str, bytes, Mapping)) or not isinstance(found, Iterable):
        raise _Unusable(f"returned {type(found).__name__}: None, a Result or several are expected")
    results = tuple(_plain(one) for one in islice(found, MOST_RESULTS + 1))
    if len(results) > MOST_RESULTS:
        raise _Unusable(f"returned more than {MOST_RESULTS} results")
    instances = [one.instance for one in results]
    for instance in instances:
        if instances.count(instance) > 1:
            raise _Unusable(f"returned two results of the instance {instance!r}")
    return results


def _plain(result: Any) -> Result:
    """With values that fit into JSON."""
    if not isinstance(result, Result):
        raise _Unusable(f"returned {type(result).__name__} where a Result is expected")
    if result.status not in VALUES:
        raise _Unusable(f"returned the status {_short(repr(result.status))}")
    observed = {str(key): _plain_value(value) for key, value in dict(result.observed).items()}
    return Result(
        result.status, _short(str(result.message)), observed, _short(str(result.instance))
    )


def _plain_value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    try:
        return json.loads(json.dumps(value, default=str, allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        return _short(str(value))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
