"""Management commands: one span from ``execute`` to its end, below which all else is.

``BaseCommand.execute`` is where ``manage.py`` and ``call_command`` both pass.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from opentelemetry.trace import SpanKind

from otel_django import guard, metric_definitions, names
from otel_django.command_choice import CommandChoice, identity
from otel_django.instrumentation import unit_of_work
from otel_django.instrumentation.patching import Patches
from otel_django.log_record import ERROR, INFO
from otel_django.logs import active
from otel_django.logs.journal import untold
from otel_django.tracing.current import attach, detach
from otel_django.tracing.exceptions import exception_type
from otel_django.tracing.span import Span

if TYPE_CHECKING:
    from opentelemetry.trace import Span as ApiSpan

    from otel_django.conf import Settings
    from otel_django.metrics.instruments import Histogram
    from otel_django.metrics.recorder import Recorder
    from otel_django.tracing.limits import Plain
    from otel_django.tracing.tracer import Tracer


class CommandInstrumentation:
    """Patches the base class; commands that aren't chosen run as if it hadn't."""

    def __init__(self) -> None:
        self._patches = Patches()
        self._tracer: Tracer | None = None
        self._choice: CommandChoice | None = None
        self._duration: Histogram | None = None
        self._running: set[Span] = set()

    def measure_with(self, recorder: Recorder) -> None:
        """Measure commands, too."""
        self._duration = recorder.histogram(metric_definitions.DJANGO_COMMAND_DURATION)

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Patch; a second call only changes tracer and settings."""
        self._tracer = tracer
        self._choice = CommandChoice(settings)
        if not self._patches.holds(BaseCommand, "execute"):
            self._patches.wrap(BaseCommand, "execute", self._traced)

    def uninstall(self) -> None:
        """Put the method back."""
        self._tracer = None
        self._patches.undo()

    def process_ends(self) -> None:
        """A signal ends the process while commands run: what they did isn't to lose its root."""
        for span in tuple(self._running):
            span.fail("interrupted", "the process was told to end")
            self._end(span)

    def _traced(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        def traced_execute(command: BaseCommand, *args: Any, **options: Any) -> Any:
            began = self._begin(command)
            if began is None:
                return execute(command, *args, **options)
            name, span, start_ns = began
            token = None if span is None else attach(span)
            failed: BaseException | None = None
            try:
                return execute(command, *args, **options)
            except BaseException as exc:
                failed = exc
                raise
            finally:
                if span is not None:
                    self._finish(span, failed)
                self._measure(name, span, start_ns, failed)
                _log_end(name, start_ns, failed)
                if token is not None:
                    detach(token)

        return traced_execute

    def _measure(
        self, name: str, span: ApiSpan | None, start_ns: int, exc: BaseException | None
    ) -> None:
        duration = self._duration
        if duration is not None:
            with guard.guarded("commands.measure"):
                error_type = None if exit_code(exc) == 0 or exc is None else exception_type(exc)
                recorded = span if isinstance(span, Span) else None
                duration.record((time_ns() - start_ns) / 1e9, (name, error_type), recorded)

    def _begin(self, command: BaseCommand) -> tuple[str, ApiSpan | None, int] | None:
        """The command's name, its span if it has one of its own, and when it began."""
        tracer, choice = self._tracer, self._choice
        if tracer is None or choice is None:
            return None
        try:
            if not choice.covers_instance(command):
                return None
            name, app = identity(command)
            attributes: dict[str, Plain] = {names.DJANGO_COMMAND_NAME: name}
            config = apps.get_containing_app_config(app)
            if config is not None:
                attributes[names.DJANGO_APP] = config.label
            span: ApiSpan | None = unit_of_work.begin(
                tracer, f"{names.COMMAND_SPAN} {name}", SpanKind.INTERNAL, attributes
            )
            if isinstance(span, Span):
                self._running.add(span)
            return name, span, time_ns()
        except Exception:
            guard.caught("commands.begin")
            return None

    def _finish(self, span: ApiSpan, exc: BaseException | None) -> None:
        if not isinstance(span, Span) or span not in self._running:
            return
        try:
            code = exit_code(exc)
            span.note(names.PROCESS_EXIT_CODE, code)
            if exc is not None and code != 0:
                span.record_exception(exc)
                span.fail(exception_type(exc))
        except Exception:
            guard.caught("commands.finish")
        finally:
            self._end(span)

    def _end(self, span: Span) -> None:
        self._running.discard(span)
        span.end()


def _log_end(name: str, start_ns: int, exc: BaseException | None) -> None:
    journal = active.journal()
    if journal is None:
        return
    with guard.guarded("commands.log"):
        code = exit_code(exc)
        fields: dict[str, Any] = {
            names.DJANGO_COMMAND_NAME: name,
            names.DURATION: (time_ns() - start_ns) / 1e9,
            names.PROCESS_EXIT_CODE: code,
        }
        failed = None if code == 0 else exc
        if failed is not None:
            fields[names.ERROR_TYPE] = exception_type(failed)
        severity = INFO if failed is None else ERROR
        journal.tell(names.COMMAND_FINISHED, severity, fields, journal.place(None), untold(failed))


def exit_code(exc: BaseException | None) -> int:
    """What a process ends with that ``exc`` leaves."""
    if exc is None:
        return 0
    if isinstance(exc, KeyboardInterrupt):
        return 130  # as shells have it: 128 + SIGINT
    if isinstance(exc, CommandError):
        return exc.returncode
    if isinstance(exc, SystemExit):
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    return 1
