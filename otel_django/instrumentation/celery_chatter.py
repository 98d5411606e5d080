"""Keeps what Celery and kombu say on their own connections out of the traces.

Where an instrumentor of Redis or botocore is loaded, each command of the broker's transport and of
the result store would have a span, an idle worker's polling too. Their clients are made to run
commands in a context in which nothing is traced; the site's own clients of the same server aren't.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from opentelemetry.context import Context

from otel_django import guard
from otel_django.instrumentation.on_import import when_imported
from otel_django.instrumentation.patching import Patches
from otel_django.tracing.current import SUPPRESS_KEY, detach, get_context, set_context

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.tracing.tracer import Tracer

Hush: TypeAlias = Callable[[Any], None]
_REDIS_COMMANDS: Final = ("execute_command", "execute", "immediate_execute_command")


class CeleryChatterInstrumentation:
    """Patches where Celery makes its clients; those made before go on as they were."""

    def __init__(self) -> None:
        self._patches = Patches()
        self._undoing: list[Callable[[], None]] = []

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Wait until an instrumentor could see them; a second call changes nothing."""
        if self._undoing:
            return
        for place in _FACTORIES:
            wait = functools.partial(self._wait, place)
            self._undoing.append(when_imported(place.module, wait))

    def uninstall(self) -> None:
        """Make clients as before."""
        while self._undoing:
            self._undoing.pop()()
        self._patches.undo()

    def _wait(self, place: _Factory) -> None:
        """The module is there; its own imports may have brought the instrumentor along."""

        def patch() -> None:
            owner = getattr(sys.modules[place.module], place.owner)
            self._patches.wrap(owner, place.method, functools.partial(_hushing, place.hush))

        self._undoing.append(when_imported(place.instrumentor, patch))


def _hushing(hush: Hush, factory: Callable[..., Any]) -> Callable[..., Any]:
    def make(*args: Any, **kwargs: Any) -> Any:
        client = factory(*args, **kwargs)
        with guard.guarded("celery_chatter"):
            hush(client)
        return client

    return make


def _quietly(run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    token = set_context(Context({**get_context(), SUPPRESS_KEY: True}))
    try:
        return run(*args, **kwargs)
    finally:
        detach(token)


# --- Redis: a client is made for each publish, so a change of its class must do


def _hush_redis(client: Any) -> None:
    cls: type = type(client)
    if not hasattr(cls, "_otel_django_quiet"):
        client.__class__ = _quiet_class(cls)


@functools.cache
def _quiet_class(cls: type) -> type:
    """A subclass of a client's or a pipeline's class; it finds patched methods when called."""

    def quiet(name: str) -> Callable[..., Any]:
        def command(self: Any, *args: Any, **kwargs: Any) -> Any:
            return _quietly(getattr(super(made, self), name), *args, **kwargs)

        return command

    def pipeline(self: Any, *args: Any, **kwargs: Any) -> Any:
        pipe = super(made, self).pipeline(*args, **kwargs)
        _hush_redis(pipe)
        return pipe

    members = {name: quiet(name) for name in _REDIS_COMMANDS if hasattr(cls, name)}
    made: Any = type(
        cls.__name__,
        (cls,),
        {
            **members,
            "pipeline": pipeline,
            "__module__": cls.__module__,
            "_otel_django_quiet": True,
        },
    )
    return made  # type: ignore[no-any-return]


# --- botocore: clients are few and each has a class of its own


def _hush_boto(client: Any) -> None:
    client._make_api_call = functools.partial(_quietly, client._make_api_call)


class _Factory(NamedTuple):
    """The method that makes a client, what is done to the client, and who would see it."""

    instrumentor: str
    module: str
    owner: str
    method: str
    hush: Hush


_REDIS: Final = "opentelemetry.instrumentation.redis"
_BOTO: Final = "opentelemetry.instrumentation.botocore"
_FACTORIES: Final = (
    _Factory(_REDIS, "kombu.transport.redis", "Channel", "_create_client", _hush_redis),
    _Factory(_REDIS, "celery.backends.redis", "RedisBackend", "_create_client", _hush_redis),
    _Factory(_BOTO, "kombu.transport.SQS", "Channel", "new_sqs_client", _hush_boto),
)
