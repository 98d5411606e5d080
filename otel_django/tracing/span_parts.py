"""What spans are made of besides their slots: parts that many share, and parts that few have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationInfo, InstrumentationScope
    from opentelemetry.trace.span import TraceState

    from otel_django.tracing.limits import Plain


class SharedAttributes:
    """Attributes that many spans have in common, and that nobody changes.

    ``encoded`` is theirs in some wire format, kept here by the encoder.
    """

    __slots__ = ("encoded", "values")

    def __init__(self, values: dict[str, Plain]) -> None:
        self.values = values
        self.encoded: bytes | None = None


class Origin(NamedTuple):
    """Where a tracer's spans come from."""

    resource: Resource
    scope: InstrumentationScope
    info: InstrumentationInfo


class Rare(NamedTuple):
    """What most spans never have. Never changed, so that copies of a span may share it.

    ``export_state`` is the tracestate that leaves, where it isn't the context's; ``on_exit`` says
    whether an exception that leaves the block is recorded (1) and sets the status (2).
    """

    events: Sequence[Any] = ()
    links: Sequence[Any] = ()
    export_state: TraceState | None = None
    dropped_attributes: int = 0
    dropped_events: int = 0
    dropped_links: int = 0
    on_exit: int = 3


_NOTHING: Final = Rare()


def rarely(name: str) -> Any:
    """A span's property that lies in its ``_rare``, made when the first of them is set."""
    default = getattr(_NOTHING, name)

    def get(span: Any) -> Any:
        return default if span._rare is None else getattr(span._rare, name)

    def put(span: Any, value: Any) -> None:
        span._rare = (span._rare or _NOTHING)._replace(**{name: value})

    return property(get, put)


def of_origin(name: str) -> Any:
    """A span's property that lies in its ``_origin``."""

    def get(span: Any) -> Any:
        return getattr(span._origin, name)

    def put(span: Any, value: Any) -> None:
        span._origin = span._origin._replace(**{name: value})

    return property(get, put)
