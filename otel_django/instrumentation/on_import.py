"""Acts on a module once somebody imports it, so that nothing is imported for our sake."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from otel_django import guard

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

Action: TypeAlias = Callable[[], None]

_lock = threading.RLock()
_actions: dict[str, list[Action]] = {}
_complete: dict[str, ModuleType] = {}
"""Modules that have run to their end while actions are taken, inside their import."""


def when_imported(module: str, action: Action) -> Callable[[], None]:
    """Call ``action`` right after ``module`` is first imported; at once if it has been.

    An exception of the action is counted and logged, never raised into the import. Returns what
    takes the wish back.
    """
    with _lock:
        if _is_loaded(module):
            waits = False
        else:
            waits = True
            _actions.setdefault(module, []).append(action)
            if _finder not in sys.meta_path:
                sys.meta_path.insert(0, _finder)
    if not waits:
        _act(module, [action])
    return lambda: _forget(module, action)


def _is_loaded(module: str) -> bool:
    """Imported to its end: not one whose import is going on."""
    loaded = sys.modules.get(module)
    if loaded is None:
        return False
    spec = getattr(loaded, "__spec__", None)
    return loaded is _complete.get(module) or not getattr(spec, "_initializing", False)


def _forget(module: str, action: Action) -> None:
    with _lock:
        waiting = _actions.get(module, [])
        if action in waiting:
            waiting.remove(action)
        if not waiting:
            _actions.pop(module, None)
        if not _actions and _finder in sys.meta_path:
            sys.meta_path.remove(_finder)


def _loaded(module: str) -> None:
    with _lock:
        actions = _actions.pop(module, [])
        _complete[module] = sys.modules[module]
        if not _actions and _finder in sys.meta_path:
            sys.meta_path.remove(_finder)
    try:
        _act(module, actions)
    finally:
        del _complete[module]


def _act(module: str, actions: Sequence[Action]) -> None:
    for action in actions:
        with guard.guarded(f"on import of {module}"):
            action()


class _Finder:
    """Finds nothing itself: lets the others find, and has the module's loader tell when it ran."""

    def __init__(self) -> None:
        self._asking = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _actions or getattr(self._asking, "name", None) == fullname:
            return None
        self._asking.name = fullname
        try:
            for finder in list(sys.meta_path):
                find = getattr(finder, "find_spec", None)
                spec = None if find is None or finder is self else find(fullname, path, target)
                if spec is not None:
                    _watch(spec)
                    return spec  # type: ignore[no-any-return]
        finally:
            self._asking.name = None
        return None


_finder = _Finder()


def _watch(spec: ModuleSpec) -> None:
    """Have the loader of this one module say when it has run it; the loader's class stays."""
    loader: Any = spec.loader
    run = getattr(loader, "exec_module", None)
    if run is None:
        return

    def exec_module(module: ModuleType) -> None:
        run(module)
        if module.__name__ == spec.name:  # a loader may be shared: a zip file's
            if vars(loader).get("exec_module") is exec_module:
                del loader.exec_module
            _loaded(spec.name)

    try:
        loader.exec_module = exec_module
    except AttributeError:  # a class as loader (built-in modules), or one with slots
        return
