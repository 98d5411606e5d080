"""Sends a probe to where the settings say, and says why it isn't taken."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_django import host_environment
from otel_django.doctor import clock
from otel_django.doctor.finding import Finding
from otel_django.doctor.target import Target, place_of
from otel_django.doctor.unreached import explained, through_proxy
from otel_django.errors import TransportError
from otel_django.pipeline.receiver import masked
from otel_django.pipeline.retry import Outcome, Verdict, judge_http

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_django.conf import Settings


class Sent(NamedTuple):
    """``clock_ahead_s``: ours, of the receiver's by the answer's Date; None where it has none."""

    finding: Finding
    clock_ahead_s: float | None


def send(signal: str, body: bytes, settings: Settings, timeout_s: float) -> Sent:
    """Send it once; never raises for what a network or a receiver does."""
    target = Target(signal, settings)
    began_s = time.monotonic()
    try:
        verdict, headers = _exchange(target, body, began_s + timeout_s)
    except TransportError as error:
        return Sent(explained(target, masked(str(error), target.receiver.headers)), None)
    verdict = replace(verdict, message=masked(verdict.message, target.receiver.headers))
    took_ms = round((time.monotonic() - began_s) * 1000, 1)
    return Sent(_judged(target, verdict, took_ms), clock.ahead_s(headers))


def _exchange(target: Target, body: bytes, deadline_s: float) -> tuple[Verdict, Mapping[str, str]]:
    if target.is_grpc:
        host_environment.quieten_grpc()
        from otel_django.pipeline.grpc_transport import GrpcTransport

        calls = GrpcTransport(target.receiver, signal=target.signal)
        try:
            return calls.send(body, deadline_s, lambda: None), {}
        finally:
            calls.close()
    from otel_django.pipeline.http_transport import HttpTransport

    posts = HttpTransport(target.receiver, proxy=target.proxy)
    try:
        answer = posts.post(body, deadline_s)
    finally:
        posts.close()
    return judge_http(answer.status, answer.headers, answer.body, time.time()), answer.headers


def _judged(target: Target, verdict: Verdict, took_ms: float) -> Finding:
    observed: dict[str, Any] = {"endpoint": target.endpoint, "answered_ms": took_ms}
    if verdict.outcome is not Outcome.DELIVERED:
        return _refused(target, verdict.message, observed)
    if verdict.rejected:
        return Finding(
            target.signal,
            "fault",
            f"{target.place} has refused the probe: {verdict.message or 'it gives no reason'}.",
            "Look into the receiver's log.",
            observed,
        )
    way = f" through the proxy {place_of(target.proxy)}" if target.proxy else ""
    said = f" It says: {verdict.message}." if verdict.message else ""
    text = f"{target.place} has taken the probe{way}.{said}"
    return Finding(target.signal, "ok", text, observed=observed)


def _refused(target: Target, said: str, observed: dict[str, Any]) -> Finding:
    place, name = target.place, target.variable("endpoint")
    if _has(said, "HTTP 401", "HTTP 403", "gRPC UNAUTHENTICATED", "gRPC PERMISSION_DENIED"):
        text, cure = _credentials(target, said)
    elif _has(said, "HTTP 404", "gRPC UNIMPLEMENTED"):
        text, cure = _not_there(target, said)
    elif _has(said, "HTTP 429", "HTTP 503", "gRPC RESOURCE_EXHAUSTED") and not target.proxy:
        text = f"{place} has no room just now ({said})."
        cure = "Give the Collector more memory (memory_limiter), or send less."
    elif target.proxy and not _has(said, "HTTP 413", "HTTP 429"):
        text, cure = through_proxy(target, target.proxy, said)
    elif _has(said, "HTML", "HTTP 3"):
        text, cure = f"{place} is no OTLP receiver: {said}.", f"Name the Collector in {name}."
    elif _has(said, "gRPC UNAVAILABLE", "gRPC DEADLINE_EXCEEDED", "HTTP 400", "HTTP 5"):
        return explained(target, said)
    else:
        text, cure = f"{place} refuses {target.signal}: {said}.", "Look into the receiver's log."
    return Finding(target.signal, "fault", text, cure, observed)


def _has(said: str, *words: str) -> bool:
    return any(word in said for word in words)


def _credentials(target: Target, said: str) -> tuple[str, str]:
    name = target.variable("headers")
    if "authorization" in target.receiver.headers:
        text = f"{target.place} refuses our credentials ({said})."
        cure = f"Compare the token in {name} (authorization=Bearer%20TOKEN) with the Collector's."
    else:
        text = f"{target.place} asks for credentials, and none are sent ({said})."
        cure = (
            f"Set {name}=authorization=Bearer%20TOKEN, with the Collector's token, or to what "
            "else the receiver asks for."
        )
    return text, cure


def _not_there(target: Target, said: str) -> tuple[str, str]:
    """No such path, or no pipeline."""
    signal, path, name = target.signal, target.url.path, target.variable("endpoint")
    own_path = f"/v1/{signal}"
    before = path.removesuffix(own_path)
    if not target.is_grpc and before == path:
        text = f"{target.place} has no receiver at {path or '/'} ({said})."
        cure = f"Write {own_path} at the end of {name}: nothing is appended to it."
    elif not target.is_grpc and before:
        text = f"{target.place} has no receiver below {before} ({said})."
        cure = f"Take {before} out of {name}."
        if signal.upper() not in name:
            cure = f"{cure[:-1]}: /v1/traces, /v1/metrics and /v1/logs are appended to it."
    else:
        text = f"{target.place} takes no {signal} ({said})."
        cure = (
            f"In the Collector's configuration a pipeline `{signal}` has to name this receiver "
            f"(service: pipelines: {signal}: receivers: [otlp]); or {name} names something that "
            "is no Collector."
        )
    return text, cure
