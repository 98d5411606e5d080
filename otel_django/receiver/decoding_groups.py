"""What the encodings of OTLP have in common once they are read: items by who sent them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from otel_django.metric_points import Scope
    from otel_django.receiver.decoding_values import Resource


class Unfit(Exception):
    """An item can't be kept; the text, plain, is sent to who sent it."""


class Group(NamedTuple):
    """Messages of one resource and scope, each one read when it is asked for.

    What can't be read is an ``Unfit`` instead, one for each span, point or record.
    """

    resource: Resource
    scope: Scope
    items: Iterator[Any]


class Refusals:
    """How many items aren't kept, and why. ``noun`` is one of them."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._counts: Counter[str] = Counter()

    def add(self, why: Unfit) -> None:
        """Another one."""
        self._counts[str(why)] += 1

    @property
    def count(self) -> int:
        """Of all."""
        return sum(self._counts.values())

    @property
    def message(self) -> str:
        """The commonest reasons, each with its number; empty where there is none."""
        return "; ".join(
            f"{count} {self._noun}{'s' if count > 1 else ''}: {reason}"
            for reason, count in self._counts.most_common(5)
        )
