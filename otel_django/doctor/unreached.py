"""Why there was no answer that OTLP knows: found out by looking at what is there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from otel_django.clock import SYSTEM_CLOCK
from otel_django.doctor.certificates import trouble
from otel_django.doctor.finding import Finding
from otel_django.doctor.spoken import spoken_at
from otel_django.doctor.target import place_of
from otel_django.errors import TransportError
from otel_django.pipeline.http_stream import Resolver
from otel_django.pipeline.waiting import Wait

if TYPE_CHECKING:
    from otel_django.doctor.spoken import Spoken
    from otel_django.doctor.target import Target

GREETING_S: Final = 1.0
_PORTS: Final = {"http/protobuf": 4318, "grpc": 4317}


def explained(target: Target, said: str) -> Finding:
    """A fault: what is seen, and what to do. ``said`` is how the attempt ended."""
    observed: dict[str, Any] = {"endpoint": target.endpoint, "error": said}
    if target.proxy is not None:
        text, cure = through_proxy(target, target.proxy, said)
    elif unknown := _unknown_name(target):
        text = f"The host name {target.host} isn't known here ({unknown})."
        cure = (
            f"Correct it in {target.variable('endpoint')}; or see to the resolver of this machine "
            "or container."
        )
    else:
        spoken = spoken_at(target.host, target.port, GREETING_S)
        observed["spoken"] = spoken
        text, cure = _by_what_is_spoken(target, spoken, said)
    return Finding(target.signal, "fault", text, cure, observed)


def through_proxy(target: Target, proxy: str, said: str) -> tuple[str, str]:
    """Where a proxy stands in between, it is the first to look at."""
    text = (
        f"{target.place} is asked through the proxy {place_of(proxy)}, which the environment's "
        f"variables name, and that fails ({said})."
    )
    cure = (
        f"Add {target.host} to no_proxy in the site's environment, if it is to be asked directly; "
        "else look into the proxy's log."
    )
    return text, cure


def _unknown_name(target: Target) -> str:
    """Why the host's name can't be looked up; empty where it can."""
    try:
        wait = Wait(time.monotonic() + GREETING_S, lambda: None)
        Resolver(target.host, target.port, SYSTEM_CLOCK).addresses(wait)
    except TransportError as error:
        return str(error).rpartition(": ")[2]
    return ""


def _by_what_is_spoken(target: Target, spoken: Spoken, said: str) -> tuple[str, str]:
    place, name, protocol = target.place, target.variable("endpoint"), target.receiver.protocol
    other = "http/protobuf" if target.is_grpc else "grpc"
    if spoken == "nothing":
        text = f"Nobody listens at {place}."
        cure = (
            f"Start the Collector, or name it in {name}: it mostly listens on port "
            f"{_PORTS['http/protobuf']} for http/protobuf and {_PORTS['grpc']} for grpc."
        )
    elif spoken == "unreachable":
        text = f"No connection to {place} comes about."
        cure = f"See whether a firewall is in between, and whether {name} has the right address."
    elif spoken == "tls" and not target.tls:
        text = f"{place} speaks TLS, but is asked without it."
        cure = (
            f"Write https:// in {name}, and the authority's file in "
            f"{target.variable('certificate')} if it isn't a public one."
        )
    elif spoken == "tls" and (told := _with_tls(target, said)):
        return told
    elif target.tls and spoken in ("http", "http2"):
        text = f"{place} speaks no TLS, but is asked with it."
        cure = f"Write http:// in {name}, or set up TLS at the receiver."
    elif (spoken == "http2") != target.is_grpc and spoken in ("http", "http2"):
        text = f"{place} speaks {other}, but is asked by {protocol}."
        cure = f"Set {target.variable('protocol')}={other}, or port {_PORTS[protocol]} in {name}."
    elif spoken == "silence":
        text = f"{place} takes connections, but doesn't answer ({said})."
        cure = (
            "See whether the Collector hangs or has too much to do, or whether a firewall is in "
            f"between; {name} may name something else."
        )
    else:
        text = f"{place} is there but doesn't answer as a receiver of OTLP does ({said})."
        cure = f"See what listens there, and look into its log; {name} may name something else."
    return text, cure


def _with_tls(target: Target, said: str) -> tuple[str, str] | None:
    """What keeps both sides from agreeing; None where that isn't TLS."""
    place, authority = target.place, target.variable("certificate")
    try:
        found = trouble(target.host, target.port, target.receiver, GREETING_S)
    except TransportError as error:
        return f"Nothing is sent to {place}: {error}.", f"Correct {authority}."
    if found is None and "certificate_verify_failed" not in said.lower():
        return None
    if found is not None and found.names:
        names = ", ".join(found.names)
        text = f"The certificate at {place} isn't one for {target.host}, but for {names}."
        cure = (
            f"Use such a name in {target.variable('endpoint')}, or have a certificate made for "
            f"{target.host}."
        )
    elif found is not None and found.kind == "expired":
        text, cure = f"The certificate at {place} has expired.", "Renew it at the receiver."
    elif found is not None and found.kind == "ours":
        text = f"{place} wants a certificate of ours ({found.reason})."
        cure = (
            f"Name one in {target.variable('client_certificate')}, and its key in "
            f"{target.variable('client_key')}."
        )
    else:
        reason = found.reason if found is not None else "its authority is unknown"
        text = f"The certificate at {place} isn't trusted ({reason})."
        cure = f"{authority} has to name the file of the authority that signed it."
    return text, cure
