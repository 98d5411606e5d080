"""OTLP over gRPC: the same bytes through a unary call without serializers.

Imports grpcio when the first request is sent, never earlier: a channel made before a fork doesn't
work in the child. Proxies and certificates of the system are gRPC's own affair.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from otel_django.clock import SYSTEM_CLOCK
from otel_django.errors import TransportError
from otel_django.fork_gate import ForkGate
from otel_django.pipeline.retry import Verdict, judge_grpc, judge_response
from otel_django.pipeline.waiting import Wait
from otel_django.version import VERSION

if TYPE_CHECKING:
    from otel_django.clock import Clock
    from otel_django.conf import OtlpSettings

METHODS: Final = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
MAX_ANSWER: Final = 1 << 20
_DETAILS: Final = "grpc-status-details-bin"
_OPTIONS: Final = (
    ("grpc.primary_user_agent", f"otel-django/{VERSION}"),
    ("grpc.enable_retries", 0),  # the sender's own policy decides
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", MAX_ANSWER),
    # Otherwise the channel waits up to two minutes before it tries a receiver that came back.
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # gRPC's time-out for connecting, in fact
    ("grpc.max_reconnect_backoff_ms", 2_000),
)

AT_EXIT_S: Final = 1.0
CALL_MAX_WAIT_S: Final = 0.5

_left_open: list[object] = []
"""Channels of before a fork, or of a process that ends: closing them, or letting them be collected,
may wait forever for a thread that isn't there."""


class CallGate(ForkGate):
    """No call of ours is under way while the process forks, unless it has been for half a second.

    gRPC stops its threads before a fork and starts new ones in the child, but only where no thread
    is calling into it just then. Otherwise it leaves them out, and calls in the child may hang for
    good.
    """

    def __init__(self) -> None:
        self._entered_s = 0.0
        super().__init__(CALL_MAX_WAIT_S)

    @contextlib.contextmanager
    def using(self) -> Iterator[None]:
        """Around all that calls into gRPC."""
        with super().using():
            self._entered_s = time.monotonic()
            yield

    def patience_s(self) -> float:
        """A call that hangs holds up one fork, not each."""
        return self._entered_s + self.max_wait_s - time.monotonic()


CALLS: Final = CallGate()


class GrpcTransport:
    """Calls Export with encoded requests. For one thread at a time."""

    def __init__(
        self, settings: OtlpSettings, *, signal: str = "traces", clock: Clock = SYSTEM_CLOCK
    ) -> None:
        url = urlsplit(
            settings.endpoint if "://" in settings.endpoint else f"//{settings.endpoint}"
        )
        self._target = url.netloc.rpartition("@")[2]
        self._insecure = settings.insecure if not url.scheme else url.scheme == "http"
        self.destination = f"grpc://{self._target}"
        self._settings = settings
        self._method = METHODS[signal]
        self._clock = clock
        self._metadata = tuple((name.lower(), value) for name, value in settings.headers.items())
        self._channel: Any = None

    def prepare(self) -> None:
        """Nothing: gRPC looks names up on threads of its own."""

    def send(self, body: bytes, deadline_s: float, on_wait: Callable[[], object]) -> Verdict:
        """Call Export and judge the answer; TransportError when the call couldn't be made.

        ``on_wait`` is called about every 0.2 s of waiting.
        """
        with CALLS.using():
            return self._send(body, deadline_s, on_wait)

    def _send(self, body: bytes, deadline_s: float, on_wait: Callable[[], object]) -> Verdict:
        import grpc

        wait = Wait(deadline_s, on_wait, self._clock)
        future = None
        try:
            if _is_exiting():
                with contextlib.suppress(TransportError):  # that the process ends is known
                    on_wait()
                return judge_response(self._call_at_exit(body, min(wait.left_s(), AT_EXIT_S)))
            future = self._call(body, wait.left_s())
            return judge_response(_result(future, wait))
        except grpc.RpcError as error:
            return _judge_error(error)
        except (OSError, ValueError, RuntimeError) as error:
            self._leave_channel()  # a call that got no thread never ends, nor would its channel
            raise TransportError(f"the gRPC call can't be made: {error}") from error
        finally:
            if future is not None:
                future.cancel()

    def _call(self, body: bytes, timeout_s: float) -> Any:
        with _untraced():
            return self._export().future(body, **self._options(timeout_s))

    def _call_at_exit(self, body: bytes, timeout_s: float) -> bytes:
        """A future needs a new thread; a call that blocks doesn't. Short, for want of slices.

        What mustn't be in memory only while it blocks is on disk by then.
        """
        with _untraced():
            answer: bytes = self._export()(body, **self._options(timeout_s))
            return answer

    def _options(self, timeout_s: float) -> dict[str, Any]:
        import grpc

        gzip = self._settings.compression == "gzip"
        return {
            "timeout": max(timeout_s, 0.001),
            "metadata": self._metadata,
            "compression": grpc.Compression.Gzip if gzip else None,
        }

    def _export(self) -> Any:
        if self._channel is None:
            self._channel = self._open()
        return self._channel.unary_unary(self._method)

    def _open(self) -> Any:
        import grpc

        if self._insecure:
            return grpc.insecure_channel(self._target, options=_OPTIONS)
        settings = self._settings
        credentials = grpc.ssl_channel_credentials(
            root_certificates=_read(settings.certificate),
            private_key=_read(settings.client_key),
            certificate_chain=_read(settings.client_certificate),
        )
        return grpc.secure_channel(self._target, credentials, options=_OPTIONS)

    def close(self) -> None:
        """Close the channel."""
        if self._channel is not None and not _is_exiting():
            with CALLS.using():
                self._channel.close()
            self._channel = None
        self._leave_channel()

    def after_fork(self) -> None:
        """In a forked child: leave the parent's channel alone."""
        self._leave_channel()

    def _leave_channel(self) -> None:
        if self._channel is not None:
            _left_open.append(self._channel)
            self._channel = None


def _is_exiting() -> bool:
    """The interpreter is past its main thread: no thread can be started any more."""
    return not threading.main_thread().is_alive()


@contextlib.contextmanager
def _untraced() -> Iterator[None]:
    """Instrumentations of gRPC, contrib's among them, leave calls in this context alone."""
    from opentelemetry import context

    token = context.attach(context.set_value(context._SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        yield
    finally:
        context.detach(token)


def _result(future: Any, wait: Wait) -> bytes:
    import grpc

    while True:
        try:
            answer: bytes = future.result(timeout=wait.look("waiting for the answer"))
            return answer
        except grpc.FutureTimeoutError:
            continue
        except grpc.FutureCancelledError:
            raise TransportError("the gRPC call was cancelled") from None


def _judge_error(error: Any) -> Verdict:
    details = b""
    for name, value in error.trailing_metadata() or ():
        if name == _DETAILS and isinstance(value, bytes):
            details = value
    return judge_grpc(error.code().name, error.details() or "", details)


def _read(path: str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
