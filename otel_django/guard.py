"""The one "never break the host" wrapper.

Faults of ours are counted, logged once per place and swallowed; in strict mode they are raised.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

LOGGER_NAME = "otel_django"

_logger = logging.getLogger(LOGGER_NAME)
_faults: dict[str, int] = {}
_strict = False


def set_strict(strict: bool) -> None:
    """Raise faults instead of swallowing them (our own tests do)."""
    global _strict
    _strict = strict


def caught(where: str) -> None:
    """Account for the exception being handled; call it inside ``except``.

    ``where`` names the place ("http_server.begin"): the first fault of a place is logged with its
    type and line (its text may hold a value), later ones only count. Strict mode re-raises.
    """
    count = _faults.get(where, 0) + 1
    _faults[where] = count
    if _strict:
        raise  # noqa: PLE0704 - called from an except block by contract
    if count == 1:
        _logger.warning(
            "otel_django failed in %s (%s); the site goes on without it", where, what_failed()
        )


def what_failed() -> str:
    """The exception being handled, without its text: ``ValueError in span.py:12``."""
    kind, _, traceback = sys.exc_info()
    if kind is None or traceback is None:
        return "unknown"
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    file = Path(traceback.tb_frame.f_code.co_filename).name
    return f"{kind.__name__} in {file}:{traceback.tb_lineno}"


@contextlib.contextmanager
def guarded(where: str) -> Iterator[None]:
    """``with guarded("place"):`` for everything that isn't on a hot path."""
    try:
        yield
    except Exception:
        caught(where)


def faults() -> dict[str, int]:
    """How often each place failed, since the process started."""
    return dict(_faults)
