"""Where one signal is sent to, in the words that findings need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from otel_django import host_environment
from otel_django.conf.parsers import mask_url
from otel_django.pipeline.proxy import grpc_proxy_for, proxy_for

if TYPE_CHECKING:
    from otel_django.conf import OtlpSettings, Settings


@dataclass(frozen=True)
class Target:
    """The receiver of ``signal``."""

    signal: str
    settings: Settings

    @cached_property
    def receiver(self) -> OtlpSettings:
        """As set."""
        receiver: OtlpSettings = getattr(self.settings, f"otlp_{self.signal}")
        return receiver

    @property
    def is_grpc(self) -> bool:
        """Asked by gRPC, else by HTTP."""
        return self.receiver.protocol == "grpc"

    @cached_property
    def url(self) -> SplitResult:
        """The endpoint, which for gRPC may have no scheme."""
        endpoint = self.receiver.endpoint
        return urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")

    @property
    def endpoint(self) -> str:
        """To be shown."""
        return mask_url(self.receiver.endpoint)

    @property
    def host(self) -> str:
        """Without brackets."""
        return self.url.hostname or ""

    @property
    def tls(self) -> bool:
        """Asked with TLS."""
        return self.url.scheme == "https" or (not self.url.scheme and not self.receiver.insecure)

    @property
    def port(self) -> int:
        """The scheme's where none is named."""
        return self.url.port or (443 if self.tls else 80)

    @property
    def place(self) -> str:
        """host:port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @cached_property
    def proxy(self) -> str | None:
        """The URL of the proxy that it is asked through; may hold a password."""
        environ = host_environment.proxy_variables()
        if self.is_grpc:
            return grpc_proxy_for(self.host, self.port, environ)
        return proxy_for(self.receiver.endpoint, environ)

    def variable(self, field: str) -> str:
        """The one that was set; where none was, the one for all signals."""
        origin = self.settings.origins[f"otlp_{self.signal}.{field}"]
        if origin.place == "default":
            return origin.variable.replace(f"_{self.signal.upper()}_", "_")
        return origin.variable


def place_of(url: str) -> str:
    """host:port of a URL whose user and password mustn't be shown."""
    return urlsplit(url).netloc.rpartition("@")[2]
