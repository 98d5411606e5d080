"""What a runtime tells of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_django import names
from otel_django.tracing.governor import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from otel_django.bootstrap.process import Runtime
    from otel_django.runtime_state import (
        DropState,
        ExporterState,
        GovernorState,
        QueueState,
        RuntimeState,
        SpoolState,
        StoreState,
    )


def state_of(runtime: Runtime) -> RuntimeState:
    """As it is now."""
    resource = runtime.provider.resource.attributes
    return {
        "version": str(resource.get(names.SERVICE_VERSION) or ""),
        "guest": hasattr(runtime, "host"),
        "queues": list(_queues(runtime)),
        "exporters": list(_exporters(runtime)),
        "dropped": _dropped(runtime),
        "spool": _spool(runtime),
        "governor": _governor(runtime),
        "store": _store(runtime),
    }


def _queues(runtime: Runtime) -> Iterator[QueueState]:
    for lane in (runtime.traces, runtime.logs):
        if lane.sinks:
            queue = lane.queue
            yield {"signal": lane.signal, "waiting": len(queue), "capacity": queue.capacity}


def _senders(runtime: Runtime) -> Iterator[tuple[str, Any]]:
    for signal, sinks in runtime.sinks.items():
        for sink in sinks:
            if hasattr(sink, "tally"):
                yield signal, sink


def _exporters(runtime: Runtime) -> Iterator[ExporterState]:
    for signal, sender in _senders(runtime):
        status = sender.status()
        yield {
            "signal": signal,
            "destination": status.destination,
            "direct": status.direct,
            "delivered": sender.tally.delivered,
            "waiting": sender.waiting_items,
            "last_success_age_s": status.last_success_age_s,
            "last_error": status.last_error,
            "last_error_age_s": status.last_error_age_s,
            "spool_error": status.spool_error,
        }


def _dropped(runtime: Runtime) -> list[DropState]:
    return [
        {"signal": signal, "cause": cause, "count": count}
        for (signal, cause), count in sorted(runtime.drops.snapshot().items())
    ]


def _spool(runtime: Runtime) -> SpoolState | None:
    sizes = [sender.status().spool_bytes for _, sender in _senders(runtime)]
    limit_bytes = runtime.settings.spool_max_mb << 20
    return {"bytes": max(sizes), "limit_bytes": limit_bytes} if sizes else None


def _governor(runtime: Runtime) -> GovernorState | None:
    for each in runtime.instrumentations:
        governor = getattr(each, "governor", None)
        if governor is not None:
            return {
                "limit_ratio": runtime.settings.max_overhead,
                "share_ratio": governor.share,
                "level": governor.level,
                "trace_ratio": LEVELS[governor.level].ratio,
            }
    return None


def _store(runtime: Runtime) -> StoreState | None:
    settings = runtime.settings
    writers = [sink for sink in runtime.sinks["traces"] if hasattr(sink, "problem")]
    if settings.store is None or not writers:
        return None
    return {
        "bytes": sum(_size(settings.store, ending) for ending in ("", "-wal")),
        "limit_bytes": settings.store_max_mb << 20,
        "retention_hours": settings.store_retention_hours,
        "problem": writers[0].problem or "",
    }


def _size(store: Path, ending: str) -> int:
    try:
        return store.with_name(f"{store.name}{ending}").stat().st_size
    except OSError:
        return 0
