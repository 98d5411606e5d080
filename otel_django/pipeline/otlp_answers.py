"""What receivers answer: partial success, ``google.rpc.Status`` and its ``RetryInfo``."""

from __future__ import annotations

from typing import Final, NamedTuple

from otel_django.pipeline.protobuf_reader import (
    LENGTH,
    fields,
    int_field,
    message_field,
    text_field,
)

MAX_TEXT: Final = 300


class PartialSuccess(NamedTuple):
    """How many items of a request were refused, and what the receiver says about it."""

    rejected: int
    message: str


def partial_success(body: bytes) -> PartialSuccess:
    """Read an ``Export…ServiceResponse`` of any signal; ValueError when it isn't one."""
    partial = message_field(body, 1)
    return PartialSuccess(max(int_field(partial, 1), 0), readable(text_field(partial, 2)))


def status_message(body: bytes) -> str:
    """The text of a ``google.rpc.Status``; empty when the body isn't one."""
    try:
        return readable(text_field(body, 2))
    except ValueError:
        return ""


def retry_delay_s(status: bytes) -> float | None:
    """The delay of the ``RetryInfo`` among a ``google.rpc.Status``'s details, None without one."""
    try:
        for number, wire_type, detail, _ in fields(status):
            if number == 3 and wire_type == LENGTH and text_field(detail, 1).endswith("RetryInfo"):
                duration = message_field(message_field(detail, 2), 1)
                return max(int_field(duration, 1) + int_field(duration, 2) / 1e9, 0.0)
    except ValueError:
        pass
    return None


def readable(text: str) -> str:
    """One printable line of at most 300 characters, for logs."""
    line = "".join(char if char.isprintable() else " " for char in text[: 2 * MAX_TEXT])
    line = " ".join(line.split())
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 1] + "…"
