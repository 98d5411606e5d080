"""The subcommands of ``manage.py otel``, one module each.

A module has ``HELP`` (one line), ``add_arguments(parser)`` and
``run(options, stdout, stderr) -> int``, which returns the exit code. It is imported to build the
parser of any subcommand, so what it needs to run it imports in ``run``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator

    from django.core.management.base import OutputWrapper
    from django.core.management.color import Style

SUBCOMMANDS: Final = (
    "config",
    "doctor",
    "export",
    "health",
    "prune",
    "receive",
    "report",
    "rules",
    "tail",
)


class Subcommand(Protocol):
    """What a module of this package offers."""

    HELP: str

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the subcommand's own options."""
        ...

    def run(self, options: dict[str, Any], stdout: OutputWrapper, stderr: OutputWrapper) -> int:
        """Do it; returns the exit code."""
        ...


def installed() -> Iterator[tuple[str, Subcommand]]:
    """The subcommands that can be imported; one that can't doesn't stand in the others' way."""
    for name in SUBCOMMANDS:
        try:
            module = import_module(f"{__name__}.{name}")
        except ImportError:
            continue
        yield name, cast("Subcommand", module)


def style_for(stdout: OutputWrapper, options: dict[str, Any]) -> Style:
    """Django's styles where colours are wanted and shown, else styles that change nothing."""
    from django.core.management.color import color_style, no_style

    from otel_django import conf

    if options.get("force_color"):
        return color_style(force_color=True)
    if options.get("no_color") or conf.no_color() or not stdout.isatty():
        return no_style()
    return color_style()
