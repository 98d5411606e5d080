"""How alerting goes: who evaluates, and what became of notifications, by channel."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypedDict

from otel_django.alerts import liveness
from otel_django.alerts.keeping.asking import Asker, DatabaseAwayError
from otel_django.clock import SYSTEM_CLOCK
from otel_django.health.checks.monitoring import PATIENCE_S, MonitoringCheck
from otel_django.health.report_json import timestamp
from otel_django.site_database import NowMs, connected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_django.conf import Settings

DAYS: Final = 7


class EvaluatorState(TypedDict):
    """Who evaluates alerts. ``leads``: a process has the lease, null where the database can't be
    asked; ``lease_age_s`` is since it was renewed. ``evaluated_s`` is since rules were evaluated
    last, with what came of it: ``failed`` are rules that could not be, and ``reason`` says why.
    """

    kind: Literal["embedded", "prometheus"]
    leads: bool | None
    lease_age_s: float | None
    host: str
    evaluated_s: float | None
    interval_s: float | None
    late: bool
    rules: int
    firing: int
    failed: list[str]
    reason: str


class ChannelState(TypedDict):
    """Notifications of the last week by one channel: how many wait (of those, how many have been
    tried), when one was delivered last, and the last attempt that failed.
    """

    name: str
    queued: int
    retrying: int
    delivered: str | None
    failed: str | None
    failure: str


class _Kept(NamedTuple):
    """What the database has; ``lease_ms`` is for how long the lease is held yet."""

    lease_ms: int | None
    counts: Mapping[str, Mapping[str, Any]]
    failures: Mapping[str, tuple[int, str]]


class Alerting:
    """Asks the database for a limited time only."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._check = MonitoringCheck(settings)
        self._asker = Asker(patience_s=PATIENCE_S)

    def state(self) -> tuple[EvaluatorState, list[ChannelState] | None]:
        """None: the tables can't be read."""
        kept = None
        with contextlib.suppress(DatabaseAwayError):
            kept = self._asker.ask(self._kept)
        return self._evaluator(kept), None if kept is None else list(self._channels(kept))

    def _evaluator(self, kept: _Kept | None) -> EvaluatorState:
        kind = self.settings.alerts_evaluator
        last, age_s = (self._check.last() if kind == "embedded" else None) or (None, None)
        held_ms = None if kept is None else kept.lease_ms
        leads = None if kept is None else held_ms is not None and held_ms > 0
        return {
            "kind": kind,
            "leads": leads,
            "lease_age_s": liveness.LEASE_S - held_ms / 1000 if leads and held_ms else None,
            "host": last.host if last else "",
            "evaluated_s": age_s,
            "interval_s": last.interval_s if last else None,
            "late": last is not None and age_s is not None and last.is_late(age_s),
            "rules": last.rules if last else 0,
            "firing": last.firing if last else 0,
            "failed": list(last.failed) if last else [],
            "reason": last.reason if last else "",
        }

    def _channels(self, kept: _Kept) -> list[ChannelState]:
        names = dict.fromkeys((*self._names(), *kept.counts))
        return [self._channel(name, kept) for name in names]

    def _names(self) -> list[str]:
        from otel_django.alerts.delivery.configured import channels

        return list(channels(self.settings))

    def _channel(self, name: str, kept: _Kept) -> ChannelState:
        counts = kept.counts.get(name, {})
        failed_ms, failure = kept.failures.get(name, (None, ""))
        return {
            "name": name,
            "queued": counts.get("queued", 0),
            "retrying": counts.get("retrying", 0),
            "delivered": _time(counts.get("delivered_ms")),
            "failed": _time(failed_ms),
            "failure": failure,
        }

    # --- the database

    def _kept(self) -> _Kept:
        from django.db.models import Count, F, Max, Q

        from otel_django.models import AlertAttempt, AlertNotification, Lease

        alias = self.settings.database
        since_ms = SYSTEM_CLOCK.now_ns() // 1_000_000 - DAYS * 86_400_000
        state = AlertNotification.State
        waits = Q(state=state.WAITING)
        with connected(alias):
            leases = Lease._base_manager.using(alias).filter(name=liveness.LEASE)
            held = leases.values_list(F("until_ms") - NowMs(), flat=True).first()
            told = AlertNotification._base_manager.using(alias).filter(created_ms__gt=since_ms)
            counts = told.values("channel").annotate(
                queued=Count("id", filter=waits),
                retrying=Count("id", filter=waits & Q(attempts__gt=0)),
                delivered_ms=Max("done_ms", filter=Q(state=state.DELIVERED)),
            )
            tries = AlertAttempt._base_manager.using(alias).exclude(result="delivered")
            newest = tries.filter(notification__created_ms__gt=since_ms)
            ids = newest.values("notification__channel").annotate(newest=Max("id"))
            failures = tries.filter(pk__in=[one["newest"] for one in ids]).values_list(
                "notification__channel", "at_ms", "detail"
            )
            return _Kept(
                held,
                {str(one["channel"]): one for one in counts.order_by("channel")},
                {channel: (at_ms, detail) for channel, at_ms, detail in failures},
            )


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else timestamp(at_ms * 1_000_000)


_latest: Alerting | None = None


def alerting(settings: Settings) -> Alerting:
    """The one of this process; another one for other settings."""
    global _latest
    if _latest is None or _latest.settings is not settings:
        _latest = Alerting(settings)
    return _latest
