"""Which loggers are the site's own."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Final

from otel_django import guard

_NOBODYS: Final = frozenset({guard.LOGGER_NAME, "py"})
"""This package's, and ``py.warnings``."""


def site_loggers(apps: Iterable[str], is_own: Callable[[str], bool]) -> list[str]:
    """The loggers whose levels decide about what the site logs; that of the root where none is.

    They are those of its packages (of ``apps``, and of modules that log) and of names that are no
    modules at all; and below these, each that has a level.
    ``is_own`` tells the project's modules from those of libraries.
    """
    known = {
        name: logger
        for name, logger in list(logging.root.manager.loggerDict.items())
        if isinstance(logger, logging.Logger)
    }
    first_parts = {name.partition(".")[0] for name in (*apps, *known)} - _NOBODYS
    own = {
        name
        for name in first_parts
        if (is_own(name) if name in sys.modules else find_spec(name) is None)
    }
    with_level = {
        name for name, logger in known.items() if logger.level and name.partition(".")[0] in own
    }
    return sorted(own | with_level) or [""]
