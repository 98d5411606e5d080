"""Several instances of one check, asked at the same time."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Final

from otel_django import own_thread
from otel_django.health.failure_words import in_words
from otel_django.health.results import CheckError, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


MOST_AT_ONCE: Final = 32
IN_TIME: Final = 0.9
"""The part of a check's time-out that it takes: it says itself what was late, then."""


def ask_each(names: Sequence[str], ask: Callable[[str], Result], thread_name: str) -> list[Result]:
    """What ``ask`` finds of each, in their order, named as instances.

    This thread asks, and others beside it, ``MOST_AT_ONCE`` together. All have come back when this
    returns, so ``ask`` has to keep to its time-out. Of what it raises CheckError's text is shown,
    of anything else what may be shown.
    """
    found: dict[str, Result] = {}
    waiting = deque(names)

    def run() -> None:
        while waiting:
            with suppress(IndexError):  # another thread was faster
                name = waiting.popleft()
                found[name] = _named(name, ask)

    threads = [
        own_thread.start(partial(copy_context().run, run), thread_name)
        for _ in names[1:MOST_AT_ONCE]
    ]
    run()
    for thread in threads:
        thread.join()
    return [found[name] for name in names]


def _named(name: str, ask: Callable[[str], Result]) -> Result:
    try:
        result = ask(name)
    except CheckError as error:
        result = Result("unhealthy", str(error))
    except Exception as error:
        result = Result("unhealthy", in_words(error))
    return Result(result.status, result.message, result.observed, name)
