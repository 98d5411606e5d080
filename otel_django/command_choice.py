"""Which management commands are traced: ``OTEL_DJANGO_COMMANDS``.

Asked before anything of OpenTelemetry is imported, and by the instrumentation of commands.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_django.host_environment import SERVER_COMMANDS

if TYPE_CHECKING:
    from django.core.management.base import BaseCommand

    from otel_django.conf import Settings

_PACKAGE_FOLDERS: Final = frozenset({"site-packages", "dist-packages"})
_NEVER: Final = {"otel", "test", *(command.partition(" ")[0] for command in SERVER_COMMANDS)}
"""The commands of this package, test runs, and what has no end."""


class CommandChoice:
    """The commands that have a span, and a process that is observed for their sake."""

    def __init__(self, settings: Settings) -> None:
        words = settings.commands
        self._all = "all" in words
        self._own = "own" in words
        self._named = {word for word in words if not word.startswith("-")}
        self._left_out = {word[1:] for word in words if word.startswith("-")}
        self._folders = tuple(folder.resolve() for folder in settings.source_dirs)

    def covers(self, name: str) -> bool:
        """Whether the command called ``name`` is traced."""
        app = app_of(name)
        return app is not None and self._covers(name, app)

    def covers_instance(self, command: BaseCommand) -> bool:
        """The same, where it has been called already."""
        return self._covers(*identity(command))

    def _covers(self, name: str, app: str) -> bool:
        if name in _NEVER or name in self._left_out:
            return False
        return self._all or name in self._named or (self._own and self.is_own(app))

    def is_own(self, app: str) -> bool:
        """Whether a package or module is the project's."""
        return any(_lies_in(folder, self._folders) for folder in _folders_of(app))


def app_of(name: str) -> str | None:
    """The dotted name of the app that provides the command; None: nobody does."""
    from django.core.management import get_commands

    provider = get_commands().get(name)
    if provider is None or isinstance(provider, str):
        return provider
    return type(provider).__module__


def identity(command: BaseCommand) -> tuple[str, str]:
    """Name and app (as Django has it; else the package above ``management``) of a command."""
    module = type(command).__module__
    name = module.rpartition(".")[2]
    return name, app_of(name) or module.partition(".management.commands")[0]


def _folders_of(app: str) -> Iterable[Path]:
    """Where the code of a package or module lies."""
    module = sys.modules.get(app)
    file = getattr(module, "__file__", None)
    if file:
        return (Path(file).resolve().parent,)
    return [Path(folder).resolve() for folder in getattr(module, "__path__", ())]


def _lies_in(folder: Path, project: Iterable[Path]) -> bool:
    """Whether it is the project's own: inside it, and not inside what is installed there."""
    if not _PACKAGE_FOLDERS.isdisjoint(folder.parts):
        return False
    return any(folder.is_relative_to(root) and not _is_installed(folder, root) for root in project)


def _is_installed(folder: Path, root: Path) -> bool:
    """In a virtual environment or a Python below ``root`` (not: a project inside of one)."""
    return any(
        folder.is_relative_to(installed) and installed != root and installed.is_relative_to(root)
        for installed in _installed_folders()
    )


@cache
def _installed_folders() -> tuple[Path, ...]:
    paths = [sys.prefix, *(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib"))]
    return tuple(Path(path).resolve() for path in paths)
