"""Instrumentors of other libraries, from OpenTelemetry and others, found by their entry points.

One is loaded when its library is imported, so that what a site doesn't use costs nothing.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from otel_django import guard
from otel_django.instrumentation import semconv_opt_in
from otel_django.instrumentation.contrib_libraries import INSIDE, MODULES, NEVER, plain
from otel_django.instrumentation.contrib_offers import Offer, installed
from otel_django.instrumentation.on_import import when_imported

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.tracing.tracer import Tracer

_logger = logging.getLogger(guard.LOGGER_NAME)
_loaded: set[str] = set()
"""The instrumentors' modules that were imported here, not by the site."""


class ContribInstrumentation:
    """Switches instrumentors on that are installed, and off again."""

    def __init__(self) -> None:
        self._installed = False
        self._undoing: list[Callable[[], None]] = []
        self._on: list[Any] = []

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Switch on what is imported, and the others once it is; a second call changes nothing."""
        if self._installed:
            return
        self._installed = True
        offers = list(_offered(settings.disabled_instrumentations))
        if offers:
            semconv_opt_in.opt_in(settings.semconv_opt_in)
        for offer in offers:
            switch_on = functools.partial(self._switch_on, offer, tracer)
            module = MODULES.get(plain(offer.name))
            if module is None:
                switch_on()
            else:
                self._undoing.append(when_imported(module, switch_on))

    def uninstall(self) -> None:
        """Switch off what was switched on here."""
        while self._undoing:
            self._undoing.pop()()
        while self._on:
            instrumentor = self._on.pop()
            with guard.guarded(f"{type(instrumentor).__name__}.uninstrument"):
                if instrumentor.is_instrumented_by_opentelemetry:
                    instrumentor.uninstrument()
        self._installed = False

    def _switch_on(self, offer: Offer, tracer: Tracer) -> None:
        """Whatever goes wrong in a package of others is said, and it is left out."""
        from opentelemetry.instrumentation.dependencies import DependencyConflictError

        if offer.module in sys.modules and offer.module not in _loaded:
            _logger.debug("%s is imported by the site, which switches it on.", offer.module)
            return
        _loaded.add(offer.module)
        try:
            instrumentor = offer.load()()
            if instrumentor.is_instrumented_by_opentelemetry:
                return
            instrumentor.instrument(
                tracer_provider=tracer.provider, raise_exception_on_conflict=True
            )
            self._on.append(instrumentor)
        except DependencyConflictError as error:
            conflict = error.conflict
            level = logging.WARNING if conflict.found or conflict.found_any else logging.DEBUG
            _logger.log(level, "The instrumentor %r is left off: %s", offer.name, conflict)
        except ModuleNotFoundError as error:
            _logger.debug("The instrumentor %r is left off: %s", offer.name, error)
        except Exception as error:
            _logger.warning("The instrumentor %r can't be switched on: %r", offer.name, error)


def _offered(disabled: Collection[str]) -> Iterator[Offer]:
    """Those that are to be switched on."""
    left_out = NEVER | {plain(name) for name in disabled}
    offers = [offer for offer in installed() if plain(offer.name) not in left_out]
    names = {plain(offer.name) for offer in offers}
    return (offer for offer in offers if INSIDE.get(plain(offer.name)) not in names)
