"""Health checks of a test's own, in place of the built-in ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import override_settings

from otel_django import conf
from otel_django.health.builtin import builtin
from otel_django.health.check import Registered
from otel_django.health.registry import SITE
from otel_django.health.results import Group

Add = Callable[..., None]


def with_settings(**ours: Any) -> Any:
    """``override_settings`` for some of ``OTEL_DJANGO``."""
    return override_settings(OTEL_DJANGO={**settings.OTEL_DJANGO, **ours})


@contextmanager
def only_checks_of_the_test(run_dir: Path, **ours: Any) -> Iterator[None]:
    """A host on which nothing is known yet, without the built-in checks."""
    names = [check.name for check in builtin(conf.from_django()).checks("all")]
    with with_settings(RUN_DIR=str(run_dir), HEALTH_DISABLED=names, **ours):
        yield


@contextmanager
def site_checks() -> Iterator[Add]:
    """Adds checks of the site: ``add(name, run, *groups, critical=True, …)``."""
    added: list[str] = []

    def add(name: str, run: Callable[[], Any], *groups: Group, **more: Any) -> None:
        chosen = frozenset(groups or ("ready",))
        SITE.add(Registered(name, run, chosen, **{"critical": True, **more}))
        added.append(name)

    try:
        yield add
    finally:
        for name in added:
            SITE.remove(name)


@contextmanager
def hanging() -> Iterator[Callable[[], None]]:
    """A check that comes back when the block is over."""
    over = threading.Event()
    try:
        yield lambda: _nothing(over.wait(30))
    finally:
        over.set()


def _nothing(came_back: bool) -> None:
    """What the check finds."""
