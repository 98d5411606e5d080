"""Levels of Python's ``logging`` and severities of OpenTelemetry's log data model."""

from __future__ import annotations

import logging
from typing import Final

from otel_django.log_record import DEBUG, ERROR, FATAL, INFO, TRACE, WARN

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
_STEPS: Final = (
    (logging.CRITICAL, FATAL),
    (logging.ERROR, ERROR),
    (logging.WARNING, WARN),
    (logging.INFO, INFO),
    (logging.DEBUG, DEBUG),
)
USUAL: Final = dict(_STEPS)
"""The severity numbers of ``logging``'s own levels."""
_USUAL_LEVELS: Final = {severity: level for level, severity in _STEPS}


def severity_of(level: int) -> int:
    """The severity number of a level; one in between counts as the level below it."""
    usual = USUAL.get(level)
    if usual is not None:
        return usual
    for least, severity in _STEPS:
        if level >= least:
            return severity
    return TRACE


def level_of(severity: int) -> int:
    """The level of a severity number."""
    usual = _USUAL_LEVELS.get(severity)
    if usual is not None:
        return usual
    for level, least in _STEPS:
        if severity >= least:
            return level
    return logging.DEBUG


def level_beside(level: int, *, more: bool) -> int:
    """The next of ``LEVELS`` that tells more, or less; the last one where there is none."""
    known = sorted(LEVELS.values())
    if more:
        return max([one for one in known if one < level], default=known[0])
    return min([one for one in known if one > level], default=known[-1])


def name_of_level(level: int) -> str:
    """The name of one of ``LEVELS``."""
    return next(name for name, known in LEVELS.items() if known == level)


def level_named(name: str) -> int:
    """The level of a name, in any case.

    Raises:
        ValueError: for a name that isn't one of ``LEVELS``.
    """
    level = LEVELS.get(name.lower())
    if level is None:
        raise ValueError(f"{name!r} is no level: use one of {', '.join(LEVELS)}")
    return level
