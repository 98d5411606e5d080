"""The service as a whole: what is done how often, and by whom."""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final, TypeAlias

from otel_django import guard, host_environment
from otel_django import metric_definitions as metrics
from otel_django.alerts.keeping.archive import archive
from otel_django.alerts.keeping.contract import Fence, NotLeaderError
from otel_django.alerts.keeping.switching import end_of_others
from otel_django.alerts.liveness import LATE_INTERVALS, LEASE, Evaluated
from otel_django.alerts.rules import CRITICAL_INTERVAL_S
from otel_django.alerts.service import events, heartbeat, measured, parts, telling_alertmanager
from otel_django.alerts.service.decisions import Decisions
from otel_django.alerts.service.duties import Duties, Duty
from otel_django.alerts.service.leading import CLAIM_S
from otel_django.alerts.service.measured import Measured
from otel_django.errors import ReadError
from otel_django.health import active as health
from otel_django.health import snapshots
from otel_django.metrics import active as measuring
from otel_django.site_database import AWAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from otel_django.alerts.service.evaluation import Step
    from otel_django.clock import Clock
    from otel_django.conf import Settings
    from otel_django.health.results import State

_logger = logging.getLogger(guard.LOGGER_NAME)
HEALTH_S: Final = 10.0
"""How often health checks are asked: what they find is measured."""
DELIVERY_S: Final = 5.0
"""How often what is to be tried again is looked for; what is new goes out at once."""
TIDY_S: Final = 600.0
START_S: Final = 30.0
"""How long the first run may take."""
HOURS_A_RUN: Final = 100
"""Of snapshots that are put together in one run, and as many parts of the archive."""
NOTHING_MEASURED: Final = (
    "Nothing is measured here that alerts could be evaluated on: set OTEL_DJANGO_STORE=on to keep "
    "telemetry on this host, or OTEL_EXPORTER_OTLP_ENDPOINT to send it."
)


Figures: TypeAlias = "Callable[[Settings, Path, int], Mapping[str, tuple[float, State]]]"
"""Of a store at a time, in nanoseconds: name → value, and how well that is."""


class Monitoring:
    """One process's. ``interval_s`` is how often critical rules are evaluated.

    ``figures`` are what snapshots have beside what health checks find; ``also`` is done, too.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        interval_s: float = CRITICAL_INTERVAL_S,
        figures: Figures | None = None,
        also: Sequence[Duty] = (),
    ) -> None:
        self._settings = settings
        self._figures = figures
        self._also = also
        self._clock = clock
        self._interval_s = interval_s
        self._fence = Fence(LEASE, uuid.uuid4().hex)
        folder = parts.folder(settings)
        self.leading = parts.leading(settings, folder, self._fence.owner, clock)
        self._decisions = Decisions(settings.database)
        self.measured = Measured(
            settings,
            None if folder is None else folder.path,
            clock=clock,
            resolved=self._decisions.resolved,
        )
        self._keeper = parts.keeper(settings, folder)
        channels = parts.channels(settings)
        self._evaluation = parts.evaluation(
            settings, self._keeper, self.measured.source, channels, interval_s
        )
        self._sender = parts.sender(settings, channels, self._keeper, clock)
        url = settings.alerts_heartbeat_url
        self._heartbeat = heartbeat.Heartbeat(url, clock=clock) if url else None
        self._alertmanager = (
            telling_alertmanager.TellingAlertmanager(settings)
            if settings.alertmanager_url
            else None
        )
        self._step: Step | None = None
        self._stepped_s: float | None = None
        self._said_nothing = False
        self._began_s = clock.monotonic_s()
        self.duties = Duties(tuple(self._duties()), clock=clock, around=parts.around)

    def _duties(self) -> Iterator[Duty]:
        settings = self._settings
        yield Duty("host", CLAIM_S, self.claim_host, 10.0)
        yield Duty("lease", CLAIM_S, self.claim, 10.0)
        yield Duty("health", HEALTH_S, self.ask_health, 20.0)
        if self.evaluates:
            yield Duty("decisions", CRITICAL_INTERVAL_S, self._decisions.read, 20.0)
            if self.measured.is_own:
                yield Duty("sums", measured.EVERY_S, self.measured.take, 30.0)
            yield Duty("evaluation", self._interval_s, self.evaluate, 30.0)
            yield Duty("delivery", DELIVERY_S, self.deliver, 20.0)
            if self._heartbeat is not None:
                yield Duty("heartbeat", heartbeat.EVERY_S, self.beat, 20.0)
        elif self._alertmanager is not None:
            yield Duty("alertmanager", telling_alertmanager.EVERY_S, self.tell_alertmanager, 30.0)
        yield Duty("snapshots", settings.collection_interval_s, self.take_snapshot, 60.0)
        yield Duty("tidying", TIDY_S, self.tidy, 300.0)
        yield from self._also

    @property
    def evaluates(self) -> bool:
        """Whether alerts are evaluated here, not by Prometheus."""
        return self._settings.alerts_evaluator == "embedded"

    # --- what is done

    def claim_host(self) -> None:
        """Be the one of this host's processes; who is to be asks for the lease at once."""
        if self.leading.claim_host():
            self.duties.hurry("lease")

    def claim(self) -> None:
        """Ask whether to evaluate; who is to begins at once, who isn't any more hands over."""
        led = self.leading.leads()
        self.leading.claim()
        if led != self.leading.leads():
            self.duties.hurry("evaluation")
            self.duties.hurry("tidying")

    def evaluate(self) -> None:
        """Evaluate the rules that are due, if that is this process's to do, else be ready to."""
        if not self.leading.leads():
            self._step = None
            if self.leading.stands_by():
                self._keeper.load(self._now_ms())
            return
        if not self.measured.is_anything:
            self._leave(0, 0, ("all",), NOTHING_MEASURED)
            if not self._said_nothing:
                self._said_nothing = True
                _logger.warning(NOTHING_MEASURED)
            return
        try:
            step = self._evaluation.step(self._now_ms(), self._fence)
        except NotLeaderError:
            self.leading.lose()
            return
        if step is None:
            return
        self._step, self._stepped_s = step, self._clock.monotonic_s()
        self._leave(step.rules, sum(step.firing.values()), step.failed, step.reason)
        self.duties.hurry("delivery")
        events.tell(step.alerts)

    def _leave(self, rules: int, firing: int, failed: tuple[str, ...], reason: str) -> None:
        host = host_environment.host_name()
        last = Evaluated(self._interval_s, rules, firing, failed, reason, host)
        self.leading.leave(last.written())

    def deliver(self) -> None:
        """Hand what is due to the channels."""
        if not self.leading.leads():
            return
        try:
            self._sender.take(self._keeper.due(self._now_ms(), self._fence))
        except NotLeaderError:
            self.leading.lose()

    def tell_alertmanager(self) -> None:
        """Have it know what was decided here, if that is this process's to do."""
        if self._alertmanager is not None and self.leading.leads():
            self._alertmanager.step(self._now_ms())

    def ask_health(self) -> None:
        """Have the checks of this host look, so that they are measured where nobody else asks."""
        health.engine().report("all", within_s=snapshots.WITHIN_S)

    def take_snapshot(self) -> None:
        """Of health, once a deployment."""
        if self.leading.leads():
            try:
                snapshots.take_snapshot(
                    health.engine(),
                    self._now(),
                    self._figures_now(),
                    database=self._settings.database,
                )
            except AWAY:
                return  # who leads has said so

    def _figures_now(self) -> Mapping[str, tuple[float, State]]:
        path = self.measured.path
        if self._figures is None or path is None:
            return {}
        try:
            return self._figures(self._settings, path, self._clock.now_ns())
        except ReadError:  # states are worth keeping without them
            return {}

    def tidy(self) -> None:
        """End what another evaluator left, put old snapshots together, and old alerts by."""
        if not self.leading.leads():
            return
        settings = self._settings
        try:
            while end_of_others(
                settings.alerts_evaluator, self._now_ms(), database=settings.database
            ):
                pass
            for _ in range(HOURS_A_RUN):
                if not snapshots.tidy(
                    self._now(), settings.metrics_retention_hours, database=settings.database
                ):
                    break
            for _ in range(HOURS_A_RUN):
                if not archive(
                    self._now_ms(), settings.alerts_archive_months, database=settings.database
                ):
                    break
        except AWAY:
            return

    def beat(self) -> None:
        """Say outside that alerts are evaluated, if they are."""
        if self._heartbeat is not None and self.leading.leads() and self.is_well():
            self._heartbeat.beat()

    def is_well(self) -> bool:
        """Whether alerts were evaluated of late."""
        if self._stepped_s is None:
            return False
        late_s = LATE_INTERVALS * self._interval_s
        return self._clock.monotonic_s() - self._stepped_s <= late_s

    def is_alive(self) -> bool:
        """Whether this process does what it is there for, be it only to stand by."""
        done_s = self.duties.done_s("evaluation" if self.evaluates else "health")
        began_s = self._began_s if done_s is None else done_s
        late_s = LATE_INTERVALS * max(self._interval_s, HEALTH_S)
        return self._clock.monotonic_s() - began_s <= late_s + START_S

    def _firing(self) -> list[tuple[float, tuple[str]]]:
        step = self._step
        if step is None:
            return []
        return [(step.firing.get(severity, 0), (severity,)) for severity in ("critical", "warning")]

    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_ns() / 1e9, timezone.utc)

    # --- life

    def measure(self) -> None:
        """Have metrics tell what fires, from now until the process ends."""
        recorder = measuring.recorder()
        if recorder is not None:
            recorder.observe(metrics.ALERTS_FIRING, self._firing)

    def once(self, timeout_s: float) -> bool:
        """All of it once, for a scheduler that calls again; False: not all of it in time."""
        deadline_s = self._clock.monotonic_s() + timeout_s
        done = self.duties.once(timeout_s)
        return self._sender.idle(max(0.0, deadline_s - self._clock.monotonic_s())) and done

    def stop(self, timeout_s: float) -> None:
        """End within that time, whatever hangs, and let another process go on at once."""
        deadline_s = self._clock.monotonic_s() + timeout_s
        self._sender.stop(timeout_s / 2)
        self.duties.wait(timeout_s / 4)
        self.rest(max(0.1, deadline_s - self._clock.monotonic_s()))
        self.measured.close(max(0.1, deadline_s - self._clock.monotonic_s()))

    def rest(self, timeout_s: float) -> None:
        """Let another process go on, until this one is asked again."""
        Duties([Duty("release", timeout_s, self._release)], clock=self._clock).once(timeout_s)

    def _release(self) -> None:
        self._keeper.close()
        self.leading.release()
