"""The logs of a process: what is logged, where its lines go, who takes the records."""

from __future__ import annotations

import logging
import os
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard, names
from otel_django.command_choice import CommandChoice
from otel_django.conf import no_color
from otel_django.host_environment import current_process
from otel_django.instrumentation.on_import import when_imported
from otel_django.instrumentation.patching import Patches
from otel_django.logs import active
from otel_django.logs.fields import Fields
from otel_django.logs.file import LogFile
from otel_django.logs.journal import Channel, Journal
from otel_django.logs.levels import Overrides
from otel_django.logs.line import json_line
from otel_django.logs.severity import LEVELS
from otel_django.logs.site_loggers import site_loggers
from otel_django.logs.statements import statement
from otel_django.logs.stream import Stream, standard_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_django.bootstrap.process import Runtime
    from otel_django.conf import Settings
    from otel_django.log_record import LogRecord
    from otel_django.logs.handlers import Handlers
    from otel_django.logs.journal import Output
    from otel_django.tracing.tracer import Tracer

LOOK_EVERY_S: Final = 1.0
_UID: Final = "otel_django-logs"
_logger = logging.getLogger(guard.LOGGER_NAME)


class Logs:
    """Takes what is logged in this process; an instrumentation, and a sink that is only polled.

    ``put`` takes log records, None: nobody wants them. With ``collecting`` nothing is written.
    """

    def __init__(
        self, runtime: Runtime, put: Callable[[LogRecord], None] | None, *, collecting: bool
    ) -> None:
        self.put = put
        self.journal: Journal | None = None
        self._runtime = runtime
        self._collecting = collecting
        self._handlers: Handlers | None = None
        self._overrides: Overrides | None = None
        self._stream: Stream | None = None
        self._file: LogFile | None = None
        self._steps: deque[bool] = deque()
        self._undo: list[Callable[[], object]] = []
        self._patches = Patches()

    # --- as an instrumentation

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Take records from now on; a second call changes nothing."""
        if self.journal is not None or "logging" in settings.disabled_instrumentations:
            return
        journal = self._journal(tracer, settings)
        if not self._collecting:
            journal.console = self._console_channel(settings)
            journal.file = self._file_channel(settings)
            if journal.put is None and current_process().kind == "server":
                journal.console = self._starting(journal.console)
                journal.file = self._starting(journal.file)
        if journal.put is None and journal.console is None and journal.file is None:
            return
        self.journal = journal
        self._add_handlers(journal, settings)
        active.set_journal(journal)
        from django.utils import log

        self._patches.wrap(log, "configure_logging", self._followed)
        self._undo = [
            self._patches.undo,
            when_imported("structlog", _configure_structlog),
            when_imported("celery.signals", self._watch_celery),
        ]
        if journal.put is not None:
            self._undo.append(when_imported("opentelemetry._logs", self._take_charge_of_api))

    def uninstall(self) -> None:
        """Leave logging as it was."""
        while self._undo:
            self._undo.pop()()
        if self._handlers is not None:
            self._handlers.remove()
        if self._overrides is not None:
            self._overrides.undo()
        if self._file is not None:
            self._file.close()
        if active.journal() is self.journal:
            active.set_journal(None)
        self.journal = self._handlers = self._overrides = self._stream = self._file = None

    def _journal(self, tracer: Tracer, settings: Settings) -> Journal:
        from otel_django.instrumentation.log_context import place

        journal = Journal(
            fields=Fields(
                tracer.normaliser.redactor,
                tracer.exceptions,
                max_text=settings.log_record_value_length,
            ),
            exceptions=tracer.exceptions,
            place=place,
            resource=lambda: self._runtime.provider.resource,
            put=self.put,
            service=settings.service_name,
            environment=settings.resource_attributes.get(names.DEPLOYMENT_ENVIRONMENT_NAME),
            max_attributes=settings.log_record_attributes,
        )
        journal.threshold = LEVELS[settings.log_threshold]
        journal.set_rule("django.db.backends", statement)
        return journal

    def _add_handlers(self, journal: Journal, settings: Settings) -> None:
        from otel_django.logs.bridge import JournalHandler
        from otel_django.logs.handlers import Handlers

        lines = journal.console is not None
        self._overrides = Overrides(settings.run_dir)
        self._handlers = Handlers(
            JournalHandler(journal, self._overrides, lines=lines),
            takes_terminal=lines,
            least_level=journal.threshold,
            insists=self._collecting,
        )
        self._handlers.add()
        self._overrides.look()

    def _console_channel(self, settings: Settings) -> Channel | None:
        """Where lines for the standard error go, and how they are drawn; None: nowhere."""
        fd = standard_error()
        if settings.log_format == "off" or fd is None:
            return None
        from otel_django.logs.console import Console
        from otel_django.logs.handlers import user_prints

        if settings.log_format == "auto" and user_prints():
            return None
        self._stream = Stream(fd)
        terminal = os.isatty(fd)
        if settings.log_format == "console" or (settings.log_format == "auto" and terminal):
            return Channel(Console(color=terminal and not no_color()).line, self._stream)
        return Channel(json_line, self._stream)

    def _file_channel(self, settings: Settings) -> Channel | None:
        if settings.log_file is None:
            return None
        from otel_django.logs.rotation import rotation_from

        self._file = LogFile(
            settings.log_file, rotation_from(settings.log_file_rotation), settings.log_file_keep
        )
        return Channel(json_line, self._file)

    def _starting(self, channel: Channel | None) -> Channel | None:
        return channel and channel._replace(
            output=_Starting(channel.output, self._runtime.worker.start)
        )

    def _watch_celery(self) -> None:
        """A worker makes its own handlers, and takes away those that it finds."""
        from celery import signals

        for signal in (signals.after_setup_logger, signals.after_setup_task_logger):
            signal.connect(self._celery_is_set_up, weak=False, dispatch_uid=_UID)
            self._undo.append(lambda signal=signal: signal.disconnect(dispatch_uid=_UID))  # type: ignore[misc]

    def _celery_is_set_up(self, **_: Any) -> None:
        self._add_again()

    def _followed(self, configure: Callable[..., None]) -> Callable[..., None]:
        """``django.setup()`` configures logging each time; runserver calls it twice."""

        def configure_logging(*args: Any, **kwargs: Any) -> None:
            configure(*args, **kwargs)
            self._add_again()

        return configure_logging

    def _add_again(self) -> None:
        if self._handlers is not None:
            with guard.guarded("logs.add_again"):
                self._handlers.add()

    def _take_charge_of_api(self) -> None:
        from otel_django.logs.provider import take_charge

        if self.journal is not None:
            take_charge(self.journal)

    def tell(self, watcher: Callable[[LogRecord], None]) -> None:
        """Have ``watcher`` see every record too, if records are taken."""
        if self.journal is None:
            return
        put = self.journal.put

        def both(record: LogRecord) -> None:
            if put is not None:
                put(record)
            watcher(record)

        self.journal.put = both

    def step(self, *, more: bool) -> None:
        """At the next poll, have the site's loggers tell a level more, or less."""
        self._steps.append(more)

    def _take_steps(self, journal: Journal, overrides: Overrides) -> None:
        from django.apps import apps

        while self._steps:
            more = self._steps.popleft()
            found = site_loggers(
                [config.name for config in apps.get_app_configs()],
                CommandChoice(self._runtime.settings).is_own,
            )
            try:
                told = overrides.step(found, more=more, threshold=journal.threshold)
            except OSError as error:
                _logger.warning("Levels of loggers can't be changed: %s", error.strerror)
                continue
            if told:
                said = ", ".join(f"{name or 'the root'}: {level}" for name, level in told.items())
                _logger.warning("By a signal, loggers have other levels on this host: %s", said)

    # --- as a sink that is polled

    def poll(self, now_s: float) -> float | None:
        """Look whether levels have changed, or loggers have come."""
        journal, handlers, overrides = self.journal, self._handlers, self._overrides
        if journal is None or handlers is None or overrides is None:
            return None
        self._take_steps(journal, overrides)
        overrides.look()
        handlers.add_to_new()
        return LOOK_EVERY_S

    def after_fork(self) -> None:
        """In a forked child."""
        self._steps.clear()
        for output in (self._stream, self._file):
            if output is not None:
                output.after_fork()

    def accept(self, batch: Sequence[Any]) -> None:
        """Nothing comes this way."""

    def spill(self, batch: Sequence[Any]) -> None:
        """Nothing comes this way."""

    def hold(self) -> None:
        """Lines are written at once."""

    def flush(self, deadline_s: float) -> bool:
        """Lines are written at once."""
        return True

    def close(self, deadline_s: float) -> None:
        """What is logged later is still written."""


class _Starting:
    """Starts the thread that looks at levels with the first line: where nothing is sent, nobody
    else does."""

    def __init__(self, output: Output, start: Callable[[], None]) -> None:
        self._output = output
        self._start = start

    def write(self, line: bytes) -> None:
        """Write a line."""
        self._output.write(line)
        self._start()


def _configure_structlog() -> None:
    from otel_django.logs.structured import configure

    configure()
