"""Samplers by consistent probability (OpenTelemetry: *TraceState: Probability Sampling*).

A trace is kept when its 56 random bits R reach the threshold T; T travels as ``ot=th:…`` in the
tracestate, so that what was kept can be counted back to what there was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    SpanKind,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.span import SpanContext, TraceState

from otel_django import guard

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link
    from opentelemetry.util.types import Attributes

OT: Final = "ot"
MAX_THRESHOLD: Final = 1 << 56
EMPTY_STATE: Final = TraceState()

_MOST_ENTRIES = 32
_LONGEST_VALUE = 256
_sub_key = re.compile(r"([a-z][a-z0-9]*):([A-Za-z0-9._-]*)").fullmatch
_explicit_randomness = re.compile(r"[0-9a-f]{14}").fullmatch


class Head(NamedTuple):
    """What a sampler says at the start of a trace's local part."""

    sampled: bool
    state: TraceState


def threshold(ratio: float) -> int:
    """The 56-bit rejection threshold T of a sampling ratio in 0..1."""
    return MAX_THRESHOLD - round(min(max(ratio, 0.0), 1.0) * MAX_THRESHOLD)


def encode_threshold(value: int) -> str:
    """``th``'s hexadecimal digits, trailing zeros left out (``0`` for T = 0)."""
    return f"{value:014x}".rstrip("0") or "0"


def ot_members(state: TraceState) -> dict[str, str]:
    """The sub-keys of tracestate's ``ot`` entry (``th``, ``rv``, …), malformed ones left out."""
    text = state.get(OT)
    if not text:
        return {}
    found = [_sub_key(part) for part in text.split(";")]
    return {match[1]: match[2] for match in found if match is not None}


def with_threshold(state: TraceState, value: int | None) -> TraceState:
    """``state`` with ``ot=th`` set to ``value``, or removed for None; other sub-keys stay.

    Within the limits of W3C Trace Context: for want of room the oldest entry goes, and sub-keys
    that nobody reads.
    """
    members = ot_members(state)
    if value is None:
        if "th" not in members:
            return state
        del members["th"]
    else:
        members["th"] = encode_threshold(value)
    if not members:
        return state.delete(OT)
    text = _joined(members)
    if len(text) > _LONGEST_VALUE:
        text = _joined({key: members[key][:14] for key in ("th", "rv") if key in members})
    if OT in state:
        return state.update(OT, text)
    if len(state) >= _MOST_ENTRIES:
        state = state.delete(list(state)[-1])
    return state.add(OT, text)


def _joined(members: dict[str, str]) -> str:
    return ";".join(f"{key}:{item}" for key, item in members.items())


def randomness(trace_id: int, members: dict[str, str]) -> int:
    """R: the explicit ``rv`` if there is one, else the trace id's low 56 bits."""
    explicit = members.get("rv")
    if explicit is not None and _explicit_randomness(explicit):
        return int(explicit, 16)
    return trace_id & (MAX_THRESHOLD - 1)


_new_tuple = tuple.__new__
_ON: Final = Head(True, EMPTY_STATE)
_OFF: Final = Head(False, EMPTY_STATE)


class HeadSampler(Sampler):
    """A sampler that also offers the cheap question ``head``, asked once a local trace.

    Subclasses decide by the trace id and the parent alone, so every span of a local trace gets
    the answer of its root. One that answers the same for every trace that begins here says so in
    ``root_head``: then it needn't be asked.
    """

    root_head: Head | None = None

    def head(self, parent: SpanContext | None, trace_id: int) -> Head:
        """Decide for a local root with a valid ``parent`` (remote or not) or None."""
        raise NotImplementedError

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """The SDK's form of the same decision."""
        parent = get_current_span(parent_context).get_span_context()
        sampled, state = self.head(parent if parent.is_valid else None, trace_id)
        decision = Decision.RECORD_AND_SAMPLE if sampled else Decision.DROP
        return SamplingResult(decision, attributes if sampled else None, state)


class AlwaysOn(HeadSampler):
    """Keep everything."""

    root_head = _ON

    def head(self, parent: SpanContext | None, trace_id: int) -> Head:
        """Sampled; the parent's tracestate stays."""
        return _ON if parent is None else Head(True, parent.trace_state)

    def get_description(self) -> str:
        """The specification's name."""
        return "AlwaysOnSampler"


class AlwaysOff(HeadSampler):
    """Keep nothing."""

    root_head = _OFF

    def head(self, parent: SpanContext | None, trace_id: int) -> Head:
        """Not sampled."""
        return _OFF if parent is None else Head(False, with_threshold(parent.trace_state, None))

    def get_description(self) -> str:
        """The specification's name."""
        return "AlwaysOffSampler"


class Ratio(HeadSampler):
    """Keep a share of all traces, the same ones in every service with that share or more."""

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio
        self.threshold = threshold(ratio)
        self._root = _OFF
        if self.threshold < MAX_THRESHOLD:
            self._root = Head(True, with_threshold(EMPTY_STATE, self.threshold))

    def head(self, parent: SpanContext | None, trace_id: int) -> Head:
        """Sampled when R >= T."""
        if parent is None:
            kept = (trace_id & (MAX_THRESHOLD - 1)) >= self.threshold
            return self._root if kept else _OFF
        state = parent.trace_state
        kept = randomness(trace_id, ot_members(state)) >= self.threshold
        return Head(kept, with_threshold(state, self.threshold if kept else None))

    def get_description(self) -> str:
        """The specification's name with the ratio."""
        return f"TraceIdRatioBased{{{self.ratio}}}"


class ParentBased(HeadSampler):
    """Follow the caller's decision; a trace that begins here asks ``root``."""

    def __init__(self, root: HeadSampler) -> None:
        self._root = root
        self._ask_root = root.head
        self.root_head = root.root_head

    def head(self, parent: SpanContext | None, trace_id: int) -> Head:
        """The parent's sampled flag, or the root sampler's answer."""
        if parent is None:
            return self._ask_root(None, trace_id)
        # Its properties take calls, as does the class.
        return _new_tuple(Head, (parent[3] & 1 == 1, parent[4]))

    def get_description(self) -> str:
        """The specification's name with the root sampler."""
        return f"ParentBased{{root:{self._root.get_description()}}}"


class Custom(HeadSampler):
    """A sampler of the user's (entry point ``opentelemetry_traces_sampler``), asked per root.

    ``RECORD_ONLY`` is taken for ``DROP``. Where it fails the caller's decision counts, or else
    the trace is sampled.
    """

    def __init__(self, inner: Sampler) -> None:
        self._inner = inner

    def head(self, parent: SpanContext | None, trace_id: int) -> Head:
        """What it says without a name to go by."""
        return self.ask(parent, trace_id, "", SpanKind.INTERNAL, {})[0]

    def ask(
        self,
        parent: SpanContext | None,
        trace_id: int,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, Any],
    ) -> tuple[Head, Mapping[str, Any]]:
        """Ask it as the SDK does; also the attributes it gives the span."""
        state = EMPTY_STATE if parent is None else parent.trace_state
        try:
            result = self._inner.should_sample(
                set_span_in_context(INVALID_SPAN if parent is None else NonRecordingSpan(parent)),
                trace_id,
                name,
                kind,
                attributes,
                (),
                state,
            )
            sampled = result.decision is Decision.RECORD_AND_SAMPLE
            return Head(sampled, result.trace_state or EMPTY_STATE), result.attributes or {}
        except Exception:
            guard.caught(f"{type(self._inner).__name__}.should_sample")
            return Head(parent is None or bool(parent.trace_flags & 1), state), {}

    def get_description(self) -> str:
        """The inner sampler's."""
        return self._inner.get_description()


_BY_NAME: dict[str, Callable[[float], HeadSampler]] = {
    "always_on": lambda _: AlwaysOn(),
    "always_off": lambda _: AlwaysOff(),
    "traceidratio": Ratio,
    "parentbased_always_on": lambda _: ParentBased(AlwaysOn()),
    "parentbased_always_off": lambda _: ParentBased(AlwaysOff()),
    "parentbased_traceidratio": lambda ratio: ParentBased(Ratio(ratio)),
}

SAMPLER_NAMES: Final = tuple(_BY_NAME)


def sampler_from(name: str, ratio: float) -> HeadSampler:
    """The sampler of ``OTEL_TRACES_SAMPLER`` with ``OTEL_TRACES_SAMPLER_ARG``.

    Raises:
        KeyError: for a name that isn't in ``SAMPLER_NAMES``.
    """
    return _BY_NAME[name](ratio)
