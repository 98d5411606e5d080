"""Sends a probe to where the settings say, and says why it isn't taken."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from otel_django import host_environment
from otel_django.conf.parsers import mask_url
from otel_django.doctor.finding import Finding
from otel_django.doctor.spoken import Spoken, spoken_at
from otel_django.errors import TransportError
from otel_django.pipeline.retry import Outcome, Verdict, judge_http

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_django.conf import OtlpSettings, Settings

GREETING_S: Final = 1.0
CLOCK_WARNING_S: Final = 5.0
CLOCK_FAULT_S: Final = 60.0
_PORTS: Final = {"http/protobuf": 4318, "grpc": 4317}


class Sent(NamedTuple):
    """``clock_ahead_s``: ours, of the receiver's by the answer's Date; None where it has none."""

    finding: Finding
    clock_ahead_s: float | None


def send(signal: str, body: bytes, settings: Settings, timeout_s: float) -> Sent:
    """Send it once; never raises for what a network or a receiver does."""
    receiver: OtlpSettings = getattr(settings, f"otlp_{signal}")
    began_s = time.monotonic()
    try:
        verdict, headers = _exchange(signal, body, receiver, began_s + timeout_s)
    except TransportError as error:
        return Sent(_unreached(signal, receiver, settings, str(error)), None)
    took_ms = round((time.monotonic() - began_s) * 1000, 1)
    return Sent(_judged(signal, receiver, settings, verdict, took_ms), _ahead_s(headers))


def _exchange(
    signal: str, body: bytes, receiver: OtlpSettings, deadline_s: float
) -> tuple[Verdict, Mapping[str, str]]:
    if receiver.protocol == "grpc":
        from otel_django.pipeline.grpc_transport import GrpcTransport

        calls = GrpcTransport(receiver, signal=signal)
        try:
            return calls.send(body, deadline_s, _nothing), {}
        finally:
            calls.close()
    from otel_django.pipeline.http_transport import HttpTransport
    from otel_django.pipeline.proxy import proxy_for

    proxy = proxy_for(receiver.endpoint, host_environment.proxy_variables())
    posts = HttpTransport(receiver, proxy=proxy)
    try:
        answer = posts.post(body, deadline_s, _nothing)
    finally:
        posts.close()
    verdict = judge_http(answer.status, answer.headers, answer.body, time.time())
    return verdict, {**answer.headers, ":status": str(answer.status)}


def _nothing() -> None:
    """Nothing else is to be done while it waits."""


def _judged(
    signal: str, receiver: OtlpSettings, settings: Settings, verdict: Verdict, took_ms: float
) -> Finding:
    place = _place(receiver)
    observed: dict[str, Any] = {"endpoint": mask_url(receiver.endpoint), "answered_ms": took_ms}
    if verdict.outcome is Outcome.DELIVERED and not verdict.rejected:
        said = f" It says: {verdict.message}." if verdict.message else ""
        text = f"{place} has taken the probe in {took_ms:g} ms.{said}"
        return Finding(signal, "ok", text, observed=observed)
    if verdict.outcome is Outcome.DELIVERED:
        return Finding(
            signal,
            "fault",
            f"{place} has refused the probe: {verdict.message or 'it gives no reason'}.",
            "Look into the receiver's log.",
            observed,
        )
    return _refused(signal, receiver, settings, verdict.message, observed)


def _refused(
    signal: str, receiver: OtlpSettings, settings: Settings, said: str, observed: dict[str, Any]
) -> Finding:
    place, name = _place(receiver), _variable(settings, signal, "endpoint")
    if _has(said, "HTTP 401", "HTTP 403", "UNAUTHENTICATED", "PERMISSION_DENIED"):
        text = f"{place} refuses our credentials ({said})."
        cure = (
            f"{_variable(settings, signal, 'headers')} has to carry what the receiver asks for, "
            "such as authorization=Bearer%20TOKEN; compare the token with the Collector's."
        )
    elif _has(said, "HTTP 404", "UNIMPLEMENTED"):
        text = f"{place} takes no {signal} ({said})."
        cure = (
            f"In the Collector's configuration a pipeline `{signal}` has to name this receiver "
            f"(service: pipelines: {signal}: receivers: [otlp]); or {name} has a wrong path."
        )
    elif _has(said, "HTML", "HTTP 3"):
        text, cure = f"{place} is no OTLP receiver: {said}.", f"Name the Collector in {name}."
    elif _has(said, "HTTP 429", "HTTP 503", "RESOURCE_EXHAUSTED"):
        text = f"{place} has no room just now ({said})."
        cure = "Give the Collector more memory (memory_limiter), or send less."
    elif _has(said, "UNAVAILABLE", "DEADLINE_EXCEEDED", "HTTP 400", "HTTP 5"):
        return _unreached(signal, receiver, settings, said)
    else:
        text, cure = f"{place} refuses {signal}: {said}.", "Look into the receiver's log."
    return Finding(signal, "fault", text, cure, observed)


def _has(said: str, *words: str) -> bool:
    return any(word in said for word in words)


def _unreached(signal: str, receiver: OtlpSettings, settings: Settings, said: str) -> Finding:
    """No answer that OTLP knows: what is there is found out by greeting it."""
    host, port, tls = _address(receiver)
    spoken = spoken_at(host, port, GREETING_S)
    text, cure = _explained(receiver, spoken, tls, said, _variable(settings, signal, "endpoint"))
    if "certificate" in said.lower():
        text = f"{_place(receiver)}: {said}."
        name = _variable(settings, signal, "certificate")
        cure = f"{name} has to name the file of the authority that signed the certificate."
    observed = {"endpoint": mask_url(receiver.endpoint), "spoken": spoken, "error": said}
    return Finding(signal, "fault", text, cure, observed)


def _explained(
    receiver: OtlpSettings, spoken: Spoken, tls: bool, said: str, name: str
) -> tuple[str, str]:
    place = _place(receiver)
    other = {"grpc": "http/protobuf"}.get(receiver.protocol, "grpc")
    grpc = receiver.protocol == "grpc"
    if spoken == "nothing":
        text = f"Nobody listens at {place} ({said})."
        cure = (
            f"Start the Collector, or name it in {name}: it mostly listens on port "
            f"{_PORTS['http/protobuf']} for http/protobuf and {_PORTS['grpc']} for grpc."
        )
    elif spoken == "tls" and not tls:
        text = f"{place} speaks TLS, but is asked without it."
        cure = (
            f"Write https:// in {name}, and the authority's file in "
            "OTEL_EXPORTER_OTLP_CERTIFICATE if it isn't a public one."
        )
    elif tls and spoken in ("http", "http2"):
        text = f"{place} speaks no TLS, but is asked with it."
        cure = f"Write http:// in {name}, or set up TLS at the receiver."
    elif (spoken == "http2") != grpc and spoken in ("http", "http2"):
        text = f"{place} speaks {other}, but is asked by {receiver.protocol}."
        cure = (
            f"Set OTEL_EXPORTER_OTLP_PROTOCOL={other}, or port {_PORTS[receiver.protocol]} "
            f"in {name}."
        )
    else:
        text = f"{place} is there but doesn't answer as a receiver of OTLP does ({said})."
        cure = f"See what listens there, and look into its log; {name} may name something else."
    return text, cure


def clock(sent: list[Sent]) -> list[Finding]:
    """What the answers' dates say of the clocks; nothing where no answer had one."""
    seen = [each.clock_ahead_s for each in sent if each.clock_ahead_s is not None]
    if not seen:
        return []
    ahead_s = min(seen, key=abs)
    observed = {"ahead_s": round(ahead_s, 1)}
    if abs(ahead_s) < CLOCK_WARNING_S:
        return [Finding("clock", "ok", "It agrees with the receiver's.", observed=observed)]
    way = "ahead of" if ahead_s > 0 else "behind"
    return [
        Finding(
            "clock",
            "fault" if abs(ahead_s) >= CLOCK_FAULT_S else "warning",
            f"This machine's clock is {abs(ahead_s):.0f} s {way} the receiver's.",
            "Have both set theirs by NTP (timedatectl shows whether it is). Backends refuse what "
            "is too old or in the future, and pages show it in the wrong place.",
            observed,
        )
    ]


def _ahead_s(headers: Mapping[str, str]) -> float | None:
    try:
        theirs_s = parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return time.time() - theirs_s - 0.5  # a date is cut to whole seconds


def _address(receiver: OtlpSettings) -> tuple[str, int, bool]:
    endpoint = receiver.endpoint
    url = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    tls = url.scheme == "https" or (not url.scheme and not receiver.insecure)
    return url.hostname or "", url.port or (443 if tls else 80), tls


def _place(receiver: OtlpSettings) -> str:
    host, port, _ = _address(receiver)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _variable(settings: Settings, signal: str, field: str) -> str:
    """The one that was set; where none was, the one for all signals."""
    origin = settings.origins[f"otlp_{signal}.{field}"]
    if origin.place == "default":
        return origin.variable.replace(f"_{signal.upper()}_", "_")
    return origin.variable
