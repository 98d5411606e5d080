"""What the embedded store holds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from otel_django.backends.embedded import EmbeddedReader
from otel_django.contracts import TraceQuery
from otel_django.doctor.finding import Finding
from otel_django.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_django.conf import Settings

_SUBJECT: Final = "store"


def look(settings: Settings) -> Iterator[Finding]:
    """Whether it can be read, and how old its newest trace is; nothing where there is none."""
    if settings.store is None or settings.sdk_disabled or settings.enabled is False:
        return
    path = str(settings.store)
    try:
        newest = EmbeddedReader(settings.store).list_traces(TraceQuery(limit=1)).traces
    except ReadError as error:
        cure = f"See that the server's user may read and write {path}."
        yield Finding(_SUBJECT, "warning", f"{error}.", cure, {"path": path})
        return
    if not newest:
        text, cure = f"{path} holds no trace yet.", "Ask for a page of the site."
        yield Finding(_SUBJECT, "note", text, cure, {"path": path})
        return
    age_s = max(time.time() - newest[0].start_ns / 1e9, 0.0)
    text = f"{path} holds traces, the newest began {age_s:.0f} s ago."
    yield Finding(_SUBJECT, "ok", text, observed={"path": path, "newest_age_s": round(age_s, 1)})
