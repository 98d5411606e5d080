"""Whether telemetry reaches where it is sent by OTLP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlsplit

from otel_django import host_environment
from otel_django.clock import SYSTEM_CLOCK
from otel_django.conf.settings import SIGNALS
from otel_django.health.check import Registered
from otel_django.health.failure_words import in_words
from otel_django.health.instances import IN_TIME, ask_each
from otel_django.health.results import CheckError, Result
from otel_django.runtime_state import runtime_state

if TYPE_CHECKING:
    from otel_django.conf import OtlpSettings, Settings
    from otel_django.pipeline.http_stream import Resolver
    from otel_django.runtime_state import ExporterState

RECENT_S: Final = 120.0
"""An answer that is older says little: metrics leave once a minute."""
_OTLP: Final = "otlp"
_PORTS: Final = {"http": 80, "https": 443}


def checks(settings: Settings) -> Iterator[Registered]:
    """One check, an instance a signal that leaves by OTLP."""
    receivers = {
        signal: getattr(settings, f"otlp_{signal}")
        for signal in SIGNALS
        if _OTLP in getattr(settings, f"{signal}_exporters")
    }
    check = CollectorCheck(receivers, settings.health_timeout_s)
    yield Registered(
        "collector",
        check.run,
        groups=frozenset(),
        is_possible=lambda: bool(receivers) and not settings.sdk_disabled,
    )


class CollectorCheck:
    """How this process's last exports went; where there were none lately, whether it is there.

    Nothing is sent for the check's sake.
    """

    def __init__(self, receivers: Mapping[str, OtlpSettings], timeout_s: float) -> None:
        self._receivers = receivers
        self._timeout_s = timeout_s
        self._resolvers: dict[str, Resolver] = {}

    def run(self) -> list[Result]:
        """Connect once to each place of which nothing is known."""
        state = runtime_state()
        exporters = {each["signal"]: each for each in state["exporters"]} if state else {}
        known = {signal: _last(exporters.get(signal)) for signal in self._receivers}
        places = {signal: _place(receiver) for signal, receiver in self._receivers.items()}
        reached = {
            places[signal]: result
            for signal, result in known.items()
            if result is not None and result.status == "healthy"
        }
        unknown = {places[signal] for signal, result in known.items() if result is None}
        reached.update(self._reach(sorted(unknown - reached.keys())))
        return [
            _told(signal, result or reached[places[signal]], exporters.get(signal))
            for signal, result in known.items()
        ]

    def _reach(self, places: list[str]) -> dict[str, Result]:
        found = ask_each(places, self._connect, "otel-django-health-collector")
        return dict(zip(places, found, strict=True))

    def _connect(self, place: str) -> Result:
        from otel_django.pipeline.http_stream import Resolver, connect
        from otel_django.pipeline.waiting import Wait

        began_s = monotonic()
        url = urlsplit(f"//{place}")
        host, port = url.hostname or "", url.port or 0
        wait = Wait(began_s + self._timeout_s * IN_TIME, lambda: None)
        resolver = self._resolvers.setdefault(place, Resolver(host, port, SYSTEM_CLOCK))
        try:
            connect(resolver.addresses(wait), wait).close()
        except Exception as error:
            resolver.forget()
            raise CheckError(in_words(error)) from error
        return Result(observed={"connect_ms": round((monotonic() - began_s) * 1000, 1)})


def _last(exporter: ExporterState | None) -> Result | None:
    """How the last export went; None where it is too long ago, or there was none."""
    if exporter is None:
        return None
    success_s, error_s = exporter["last_success_age_s"], exporter["last_error_age_s"]
    if min(age_s for age_s in (success_s, error_s, float("inf")) if age_s is not None) > RECENT_S:
        if exporter["direct"] or not exporter["waiting"]:
            return None
        return Result("degraded", "It hasn't answered yet to what is being sent.")
    if error_s is not None and (success_s is None or error_s < success_s):
        return Result("unhealthy", f"The last export failed: {exporter['last_error']}.")
    return Result()


def _told(signal: str, found: Result, exporter: ExporterState | None) -> Result:
    observed: dict[str, Any] = dict(found.observed)
    status, message = found.status, found.message
    if exporter is not None:
        observed |= {
            "waiting_items": exporter["waiting"],
            "last_success_age_s": _rounded(exporter["last_success_age_s"]),
        }
        if status == "healthy" and exporter["spool_error"]:
            status, message = "degraded", "What can't be sent can't be kept on disk, either."
    return Result(status, message, observed, signal)


def _rounded(age_s: float | None) -> float | None:
    return None if age_s is None else round(age_s, 1)


def _place(receiver: OtlpSettings) -> str:
    """``host:port`` of who is connected to: the proxy where there is one."""
    from otel_django.pipeline.proxy import proxy_for

    endpoint = receiver.endpoint
    if "://" not in endpoint:  # gRPC's host:port
        endpoint = f"{'http' if receiver.insecure else 'https'}://{endpoint}"
    proxy = None
    if receiver.protocol != "grpc":
        proxy = proxy_for(endpoint, host_environment.proxy_variables())
    return _address(urlsplit(proxy or endpoint))


def _address(url: SplitResult) -> str:
    host = url.hostname or ""
    return f"{f'[{host}]' if ':' in host else host}:{url.port or _PORTS.get(url.scheme, 80)}"
