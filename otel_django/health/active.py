"""This process's engine, made when it is first asked for."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from otel_django import conf, host_environment
from otel_django.clock import SYSTEM_CLOCK
from otel_django.health import registry
from otel_django.health.builtin import builtin
from otel_django.health.engine import Engine

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.health.engine import Teller
    from otel_django.metrics.host_folder import HostFolder

_engine: Engine | None = None
_pid = os.getpid()
_teller: Teller | None = None
_making = threading.Lock()
_hooked = False


def engine() -> Engine:
    """The engine of this process and its settings: another one in a forked child."""
    made = _engine
    if made is not None and _pid == os.getpid():
        return made
    if _pid != os.getpid():
        _begin()
    with _making:
        return _engine or _make()


def set_teller(teller: Teller | None) -> None:
    """Have it told of what is found in this process."""
    global _teller
    _teller = teller
    if _engine is not None:
        _engine.teller = teller


def _make() -> Engine:
    global _engine
    _hook()
    settings = conf.from_django()
    _engine = Engine(
        settings,
        registry.Registry(below=(builtin(settings), registry.SITE)),
        folder=_folder(settings),
        clock=SYSTEM_CLOCK,
        teller=_teller,
    )
    return _engine


def _folder(settings: Settings) -> HostFolder | None:
    """None under a test runner, which has nothing to do with a server on the same host."""
    if host_environment.current_process().kind == "test":
        return None
    from otel_django.metrics.host_folder import usable_folder

    return usable_folder(settings.run_dir, settings.service_name, pause=_nothing)


def _hook() -> None:
    global _hooked
    if _hooked:
        return
    _hooked = True
    from django.core.signals import setting_changed

    setting_changed.connect(_forget, dispatch_uid="otel_django.health")
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_begin)


def _begin() -> None:
    """In a forked child."""
    global _engine, _pid, _making
    if _engine is not None:
        _engine.after_fork()
    _engine, _pid, _making = None, os.getpid(), threading.Lock()


def _forget(**kwargs: Any) -> None:
    global _engine
    _engine = None


def _nothing() -> None:
    """Is to be let go on."""
