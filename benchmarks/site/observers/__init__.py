"""What watches the site: one module for each contestant, named by ``BENCH_OBSERVER``."""

from __future__ import annotations

import importlib
import os
from typing import Any


class Observer:
    """Nothing watches: the bare site, and the steps that the others fill in."""

    def configure(self, settings: dict[str, Any]) -> None:
        """Change the site's settings, as the contestant's manual says."""

    def start(self) -> None:
        """Run at the top of wsgi.py and manage.py."""

    def can_pause(self) -> bool:
        """Whether the process can serve as the bare site does, and go back."""
        return False

    def pause(self) -> None:
        """Take everything off the site."""

    def resume(self) -> None:
        """Put it back."""

    def flush(self) -> None:
        """Return when every recorded request has been sent."""

    def finish(self) -> None:
        """Send what only goes at an interval too (metrics)."""

    def seen(self) -> dict[str, int]:
        """What was counted inside the process, for contestants that send nothing."""
        return {}


def current() -> Observer:
    """The observer of this process."""
    name = os.environ.get("BENCH_OBSERVER", "bare")
    module = importlib.import_module(f"benchmarks.site.observers.{name}")
    observer = module.observer
    assert isinstance(observer, Observer)
    return observer
