"""The checks that come with the package: those of every file in ``checks/``."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_django import guard
from otel_django.health.registry import Registry

if TYPE_CHECKING:
    from otel_django.conf import Settings

_FOLDER: Final = Path(__file__).with_name("checks")


def builtin(settings: Settings) -> Registry:
    """All of them; a file that fails is left out."""
    registry = Registry()
    for module in sorted(each.name for each in pkgutil.iter_modules([str(_FOLDER)])):
        with guard.guarded(f"health.checks.{module}"):
            made = importlib.import_module(f"otel_django.health.checks.{module}")
            for check in made.checks(settings):
                registry.add(check)
    return registry
