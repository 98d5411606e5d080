"""The site's Celery app, if this process has it."""

from __future__ import annotations

import sys
from typing import Any


def current() -> Any:
    """The app that was made as the current one; None: there is none, or this is a pool's child.

    Celery's own answer is another one on each thread.
    """
    state: Any = sys.modules.get("celery._state")
    if not hasattr(state, "_get_active_apps") or _is_child():
        return None  # also where another thread is importing Celery just now
    stand_in = _stand_in(state)
    apps = [app for app in list(state._get_active_apps()) if app is not stand_in]
    return max(apps, key=lambda app: bool(app.set_as_current), default=None)


def _is_child() -> bool:
    current_process = getattr(sys.modules.get("billiard.process"), "current_process", None)
    return current_process is not None and type(current_process()).__name__ != "_MainProcess"


def _stand_in(state: Any) -> Any:
    """What Celery makes for those who ask while there is no app yet."""
    app = state.default_app
    return app if app is not None and app.main == "default" else None
