"""Several instances of one check, asked at the same time."""

from __future__ import annotations

from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Final

from otel_django import own_thread
from otel_django.health.failure_words import in_words
from otel_django.health.results import CheckError, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


IN_TIME: Final = 0.9
"""The part of a check's time-out that it takes: it says itself what was late, then."""


def ask_each(names: Sequence[str], ask: Callable[[str], Result], thread_name: str) -> list[Result]:
    """What ``ask`` finds of each, in their order, named as instances.

    One is asked here, each other on a thread of its own; all have come back when this returns, so
    ``ask`` has to keep to its time-out. Of what it raises CheckError's text is shown, of anything
    else what may be shown.
    """
    found: dict[str, Result] = {}

    def run(name: str) -> None:
        found[name] = _named(name, ask)

    threads = [
        own_thread.start(partial(copy_context().run, run, name), thread_name) for name in names[1:]
    ]
    for name in names[:1]:
        run(name)
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
