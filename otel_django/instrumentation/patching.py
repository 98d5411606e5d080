"""Patches of classes and modules that can be undone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

_MISSING = object()


class Patches:
    """Replaced attributes, and what stood there before.

    Where another library has patched on top of us meanwhile, ``undo`` leaves the attribute alone:
    taking it back would take theirs away too. So a replacement must call straight through once
    its instrumentation is uninstalled.
    """

    def __init__(self) -> None:
        self._done: list[tuple[type | ModuleType, str, Any, Any]] = []

    def wrap(self, owner: type | ModuleType, name: str, make: Callable[[Any], Any]) -> None:
        """Replace ``owner``'s own or inherited method by ``make(method)``."""
        original = getattr(owner, name)
        self.set(owner, name, functools.update_wrapper(make(original), original))

    def set(self, owner: type | ModuleType, name: str, replacement: Any) -> None:
        """Replace or add an attribute."""
        before = vars(owner).get(name, _MISSING)
        setattr(owner, name, replacement)
        self._done.append((owner, name, before, replacement))

    def holds(self, owner: type | ModuleType, name: str) -> bool:
        """Whether the attribute is replaced already."""
        return any(owner is done[0] and name == done[1] for done in self._done)

    def undo(self) -> None:
        """Put everything back, last first."""
        while self._done:
            owner, name, before, replacement = self._done.pop()
            if vars(owner).get(name) is not replacement:
                continue
            if before is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
