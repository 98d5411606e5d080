"""Where each signal leaves to, by the names in ``OTEL_TRACES_EXPORTER`` and its like."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard
from otel_django.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from otel_django.conf import OtlpSettings, Settings
    from otel_django.pipeline.drops import Drops
    from otel_django.pipeline.receiver import Transport

_logger = logging.getLogger(guard.LOGGER_NAME)
_PULLED: Final = "prometheus"
"""Asks for metrics itself, so it is no sink."""


def sinks(
    settings: Settings, signal: str, drops: Drops, pause: Callable[[], None]
) -> tuple[Any, ...]:
    """The signal's sinks; an exporter that can't be used is left out, and said."""
    names = (name for name in getattr(settings, f"{signal}_exporters") if name != _PULLED)
    made = (_sink(name, settings, signal, drops, pause) for name in names)
    return tuple(sink for sink in made if sink is not None)


def _sink(
    name: str, settings: Settings, signal: str, drops: Drops, pause: Callable[[], None]
) -> Any:
    try:
        if name == "otlp":
            return _sender(settings, signal, drops, pause)
        from otel_django.bootstrap import foreign_exporters

        return foreign_exporters.sink(name, signal, drops)
    except Exception as error:
        _logger.warning("The exporter %r of %s can't be used: %s", name, signal, error)
        guard.caught(f"exporter {name}")
        return None


def _sender(settings: Settings, signal: str, drops: Drops, pause: Callable[[], None]) -> Any:
    from otel_django.host_environment import current_process
    from otel_django.pipeline.sender import MAX_ITEMS, OtlpSender
    from otel_django.pipeline.spool import Spool

    receiver: OtlpSettings = getattr(settings, f"otlp_{signal}")
    timeout_s, max_items = {
        "traces": (settings.bsp_export_timeout_s, settings.bsp_max_export_batch_size),
        "logs": (settings.blrp_export_timeout_s, settings.blrp_max_export_batch_size),
        "metrics": (settings.metric_export_timeout_s, MAX_ITEMS),
    }[signal]
    made = OtlpSender
    if signal == "metrics":
        from otel_django.pipeline.metric_sender import MetricSender

        made = MetricSender
    return made(
        replace(receiver, timeout_s=min(receiver.timeout_s, timeout_s)),
        transport=_transport(receiver, signal),
        spool=Spool(settings.spool_dir, max_bytes=settings.spool_max_mb << 20, signal=signal),
        encode=_encoder(signal, drops, pause),
        drops=drops,
        clock=SYSTEM_CLOCK,
        rng=random.Random(),  # noqa: S311 - jitter, no secret
        signal=signal,
        max_items=max_items,
        # One that soon ends may be all that runs on this host: it has no time to wait.
        adopt_first_s=0.0 if current_process().kind == "command" else None,
    )


def _encoder(signal: str, drops: Drops, pause: Callable[[], None]) -> Callable[[Any], bytes]:
    encode: Callable[..., bytes]
    if signal == "traces":
        from otel_django.pipeline.otlp_trace import encode_request as encode
    elif signal == "logs":
        from otel_django.pipeline.otlp_logs import encode_request as encode
    else:
        from otel_django.pipeline.otlp_metrics import encode_request as encode

    def failed(error: Exception) -> None:
        drops.add(signal, "encode_error", 1)

    return lambda batch: encode(batch, pause, failed=failed)


def _transport(receiver: OtlpSettings, signal: str) -> Transport:
    """The connection to the OTLP receiver."""
    if receiver.protocol == "grpc":
        from otel_django.pipeline.grpc_transport import GrpcTransport

        return GrpcTransport(receiver, signal=signal)
    from otel_django import host_environment
    from otel_django.pipeline.http_transport import HttpTransport
    from otel_django.pipeline.proxy import proxy_for

    proxy = proxy_for(receiver.endpoint, host_environment.proxy_variables())
    return HttpTransport(receiver, proxy=proxy)
