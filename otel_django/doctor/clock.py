"""How this machine's clock differs from others', by the dates of their answers."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from otel_django import host_environment
from otel_django.conf import OtlpSettings
from otel_django.doctor.finding import Finding
from otel_django.errors import TransportError
from otel_django.pipeline.http_transport import HttpTransport
from otel_django.pipeline.proxy import proxy_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from otel_django.conf import Settings

WARNING_S: Final = 5.0
FAULT_S: Final = 60.0
_ANSWER_S: Final = 2.0
_MAX_BODY: Final = 64 << 10
_UNITS: Final = ((172_800, 86_400, "days"), (7_200, 3_600, "h"), (120, 60, "min"))


def ahead_s(headers: Mapping[str, str]) -> float | None:
    """Ours, of the one that has just answered with these; None where there is no date."""
    try:
        theirs_s = parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return time.time() - theirs_s - 0.5  # a date is cut to whole seconds


def compared(seen: Iterable[float | None], settings: Settings) -> Iterator[Finding]:
    """With the receiver's, as far as it was ``seen``, else (gRPC has no dates) with a backend's."""
    ours = [each for each in seen if each is not None]
    if ours:
        yield _judged(min(ours, key=abs), "the receiver")
        return
    for backend, url in settings.read_from.items():
        ahead = _ahead_of(url, settings)
        if ahead is not None:
            yield _judged(ahead, backend.capitalize())
            return


def _ahead_of(url: str, settings: Settings) -> float | None:
    transport = HttpTransport(
        OtlpSettings(endpoint=url, certificate=settings.read_from_certificate),
        proxy=proxy_for(url, host_environment.proxy_variables()),
    )
    try:
        return ahead_s(transport.get(time.monotonic() + _ANSWER_S, max_body=_MAX_BODY).headers)
    except TransportError:
        return None


def _judged(ahead: float, whose: str) -> Finding:
    observed = {"ahead_s": round(ahead, 1)}
    if abs(ahead) < WARNING_S:
        return Finding("clock", "ok", f"It agrees with {whose}'s.", observed=observed)
    way = "ahead of" if ahead > 0 else "behind"
    return Finding(
        "clock",
        "fault" if abs(ahead) >= FAULT_S else "warning",
        f"This machine's clock is {_spoken(abs(ahead))} {way} {whose}'s.",
        "Have both set theirs by NTP (timedatectl shows whether it is). Backends refuse what is "
        "too old or in the future, and pages show it in the wrong place.",
        observed,
    )


def _spoken(seconds: float) -> str:
    for beyond_s, unit_s, name in _UNITS:
        if seconds >= beyond_s:
            return f"{seconds / unit_s:.0f} {name}"
    return f"{seconds:.0f} s"
