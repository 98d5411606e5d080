"""What a type checker is told of ``span`` and ``traced``; mypy holds this, running it is easy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Generator
from typing import Any, TypeVar

from opentelemetry.trace import Span
from typing_extensions import assert_type

from otel_django import span, traced

T = TypeVar("T")


@traced
def bare(number: int, *, text: str = "") -> list[str]:
    return [text] * number


@traced("named", order=7, **{"order.total": 12})
def named(number: int) -> str:
    return str(number)


@traced()
def called(value: T) -> T:
    return value


@traced
async def coroutine(number: int) -> str:
    return str(number)


@traced("g")
def generator() -> Generator[int, str, bytes]:
    yield 1
    return b""


@traced
async def asynchronous() -> AsyncIterator[int]:
    yield 1


class Cart:
    @traced
    def method(self, number: int) -> int:
        return number

    @traced
    @classmethod
    def above(cls) -> int:
        return 1

    @classmethod
    @traced("x")
    def below(cls) -> int:
        return 1

    @traced
    @staticmethod
    def static(number: int) -> int:
        return number

    @property
    @traced
    def size(self) -> int:
        return 3


def test_signatures_are_those_of_the_functions() -> None:
    assert_type(bare(1, text="x"), list[str])
    assert_type(named(1), str)
    assert_type(called(b""), bytes)
    assert_type(generator(), Generator[int, str, bytes])
    assert_type(asynchronous(), AsyncIterator[int])
    assert asyncio.run(assert_type(coroutine(1), Coroutine[Any, Any, str])) == "1"
    assert_type(Cart().method(1), int)
    assert_type(Cart.above(), int)
    assert_type(Cart.below(), int)
    assert_type(Cart.static(1), int)
    assert_type(Cart().size, int)


def test_the_block_is_given_a_span_of_the_api() -> None:
    with span("x", a=1) as given:
        assert_type(given, Span)
        after = True
    assert_type(after, bool)


def wrong_calls_are_told() -> None:
    """Never run: an ignore that isn't needed is an error."""
    bare("1")  # type: ignore[arg-type]
    named(1, 2)  # type: ignore[call-arg]
    traced(7)  # type: ignore[call-overload]
    span()  # type: ignore[call-arg]
