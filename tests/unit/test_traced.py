"""``traced``: each call of a function as a span."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from celery import Celery
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from opentelemetry import trace

from otel_django import span, traced
from otel_django.names import CODE_FUNCTION_NAME
from otel_django.testing import Captured, capture


def current_name() -> str | None:
    return getattr(trace.get_current_span(), "name", None)


def spans_of(call: Callable[[], object]) -> Captured:
    with capture() as captured:
        call()
    return captured


# --- functions and methods


@traced
def total(prices: list[int], *, factor: int = 1) -> int:
    """Adds up."""
    return sum(prices) * factor


@traced("cart.factorial", currency="EUR")
def factorial(number: int) -> int:
    return 1 if number < 2 else number * factorial(number - 1)


def test_a_call_is_a_span_with_the_functions_name_and_nothing_of_its_values() -> None:
    with capture() as captured:
        assert total([1, 2], factor=3) == 9
    (one,) = captured.spans
    assert one.name == "total"
    assert one.attributes == {CODE_FUNCTION_NAME: f"{__name__}.total"}


def test_the_function_looks_as_before() -> None:
    assert (total.__name__, total.__doc__) == ("total", "Adds up.")
    assert list(inspect.signature(total).parameters) == ["prices", "factor"]


def test_recursion_and_given_name_and_attributes() -> None:
    with capture() as captured:
        assert factorial(3) == 6
    assert str(captured).count("cart.factorial") == 3
    (outermost,) = captured.roots
    assert outermost.children[0].children[0].attributes["currency"] == "EUR"


class Cart:
    @traced
    def pay(self) -> str | None:
        return current_name()

    @traced
    @classmethod
    def above_class(cls) -> type:
        return cls

    @classmethod
    @traced
    def below_class(cls) -> type:
        return cls

    @traced()
    @staticmethod
    def above_static(value: int) -> int:
        return value

    @staticmethod
    @traced(None, a=1)
    def below_static(value: int) -> int:
        return value

    @property
    @traced
    def size(self) -> int:
        return 3


class BigCart(Cart):
    pass


def test_methods_of_every_kind_in_either_order() -> None:
    with capture() as captured:
        assert BigCart().pay() == "Cart.pay"
        assert BigCart.above_class() is BigCart.below_class() is BigCart
        assert Cart.above_static(1) + BigCart().below_static(2) == 3
        assert Cart().size == 3
    assert [one.name for one in captured.spans] == [
        "Cart.pay",
        "Cart.above_class",
        "Cart.below_class",
        "Cart.above_static",
        "Cart.below_static",
        "Cart.size",
    ]


def test_a_partial_has_the_name_it_is_given() -> None:
    with capture() as captured:
        assert traced("half")(functools.partial(total, [4]))(factor=2) == 8
        assert traced(functools.partial(max, 1))(2) == 2
    assert [one.name for one in captured.roots] == ["half", "partial"]


def test_what_is_no_function_is_refused_where_it_is_decorated() -> None:
    task = Celery("x", set_as_current=False).task(name="x")(view)
    wrong: Any
    for wrong in (Cart, property(lambda self: 1), task, 7):
        with pytest.raises(TypeError, match="below the decorators"):
            traced(wrong)


# --- coroutine functions


@traced
async def fetch(seconds: float) -> str | None:
    await asyncio.sleep(seconds)
    return current_name()


def returns_a_coroutine(seconds: float) -> Any:
    return fetch.__wrapped__(seconds)  # type: ignore[attr-defined]


def test_a_coroutine_function_stays_one_and_its_span_lasts_until_it_is_done() -> None:
    async def work() -> list[str | None]:
        both = asyncio.gather(fetch(0.002), fetch(0.001))
        return [*await both, await sync_to_async(Cart().pay)()]

    assert inspect.iscoroutinefunction(fetch)
    with capture() as captured:
        assert asyncio.run(work()) == ["fetch", "fetch", "Cart.pay"]
    assert [one.name for one in captured.roots] == ["fetch", "fetch", "Cart.pay"]


def test_a_function_marked_as_a_coroutine_function_is_treated_as_one() -> None:
    marked = traced(markcoroutinefunction(returns_a_coroutine))
    assert iscoroutinefunction(marked)
    with capture():
        assert asyncio.run(marked(0)) == "returns_a_coroutine"


def test_a_cancelled_coroutine_ends_its_span_and_has_not_failed() -> None:
    async def work() -> None:
        task = asyncio.create_task(fetch(60))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    assert spans_of(lambda: asyncio.run(work())).one("fetch").status == "UNSET"


# --- generators


@traced("pages")
def pages(count: int = 3) -> Generator[str | None, int | None, str]:
    with span("inner"):
        for _ in range(count):
            received = yield current_name()
            assert received is None or current_name() == "inner"
    return "done"


def test_a_generators_span_is_current_only_while_its_body_runs() -> None:
    with capture() as captured:
        first, second = pages(), pages()
        with span("consumer"):
            for one, other in zip(first, second, strict=True):
                assert (one, other, current_name()) == ("inner", "inner", "consumer")
                with span("use"):
                    pass
    assert inspect.isgeneratorfunction(pages)
    (consumer,) = captured.roots
    assert [child.name for child in consumer.children] == ["pages", "pages", "use", "use", "use"]
    assert [child.name for child in consumer.children[0].children] == ["inner"]


def test_send_throw_and_return_reach_the_body() -> None:
    @traced
    def body() -> Generator[object, object, str]:
        try:
            received = yield 1
            yield received
        except KeyError as error:
            yield error
        return "value"

    def work() -> None:
        steps = body()
        assert next(steps) == 1
        assert steps.send("sent") == "sent"
        thrown = KeyError("x")
        assert steps.throw(thrown) is thrown
        with pytest.raises(StopIteration) as stopped:
            next(steps)
        assert stopped.value.value == "value"

    assert len(spans_of(work).find()) == 1


@pytest.mark.parametrize("how", ["closed", "collected", "left"])
def test_a_generator_that_is_given_up_ends_its_span_and_has_not_failed(how: str) -> None:
    def work() -> None:
        steps = pages()
        next(steps)
        if how == "closed":
            steps.close()
        elif how == "left":
            for _ in steps:
                break
        del steps
        gc.collect()
        assert current_name() == "capture"

    captured = spans_of(work)
    assert (captured.one("pages").status, captured.one("inner").status) == ("UNSET", "UNSET")


def test_a_generator_that_fails_marks_its_span() -> None:
    @traced
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("x")

    def work() -> None:
        with pytest.raises(ValueError, match="x"):
            list(failing())

    (one,) = spans_of(work).spans
    assert (one.status, len(one.events)) == ("ERROR", 1)


def test_a_context_manager_made_of_a_traced_generator() -> None:
    @contextlib.contextmanager
    @traced
    def lock() -> Iterator[None]:
        yield

    def work() -> None:
        with lock():
            assert current_name() == "capture"

    assert len(spans_of(work).spans) == 1


def test_a_generator_that_is_never_begun_has_no_span() -> None:
    assert spans_of(pages).spans == []


# --- asynchronous generators


@traced("rows")
async def rows(count: int) -> AsyncIterator[str | None]:
    with span("inner"):
        for _ in range(count):
            await asyncio.sleep(0)
            yield current_name()


def test_an_asynchronous_generators_span_is_current_only_while_its_body_runs() -> None:
    async def consume() -> None:
        with span("consumer"):
            async for name in rows(3):
                assert (name, current_name()) == ("inner", "consumer")
                with span("use"):
                    await asyncio.sleep(0)

    async def work() -> None:
        await asyncio.gather(consume(), consume())

    assert inspect.isasyncgenfunction(rows)
    captured = spans_of(lambda: asyncio.run(work()))
    for consumer in captured.find("consumer"):
        assert [child.name for child in consumer.children] == ["rows", "use", "use", "use"]
    assert len(captured.roots) == 2


def test_an_asynchronous_generator_that_another_task_goes_on_with() -> None:
    async def work() -> None:
        steps = rows(3)
        for _ in range(3):
            assert await asyncio.create_task(anext(steps)) == "inner"  # type: ignore[arg-type]
        assert [one async for one in steps] == []

    assert spans_of(lambda: asyncio.run(work())).one("rows").status == "UNSET"


@pytest.mark.parametrize("how", ["closed", "collected"])
def test_an_asynchronous_generator_that_is_given_up_ends_its_span(how: str) -> None:
    async def work() -> None:
        steps: Any = rows(3)
        await anext(steps)
        if how == "closed":
            await steps.aclose()
        del steps
        gc.collect()
        await asyncio.sleep(0.01)

    captured = spans_of(lambda: asyncio.run(work()))
    assert (captured.one("rows").status, captured.one("inner").status) == ("UNSET", "UNSET")


def test_asend_and_athrow_reach_the_body() -> None:
    @traced
    async def body() -> Any:
        try:
            received = yield 1
            yield received
        except KeyError as error:
            yield error
        raise ValueError("x")

    async def work() -> None:
        steps = body()
        assert await anext(steps) == 1
        assert await steps.asend("sent") == "sent"
        thrown = KeyError("x")
        assert await steps.athrow(thrown) is thrown
        with pytest.raises(ValueError, match="x"):
            await anext(steps)

    (one,) = spans_of(lambda: asyncio.run(work())).spans
    assert (one.status, len(one.events)) == ("ERROR", 1)


# --- in Django and Celery


@traced
def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(current_name())


@traced
async def async_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(current_name())


@method_decorator(traced("dispatch"), name="dispatch")
class ClassView(View):
    @traced
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(current_name())


urlpatterns = [
    path("view/", view),
    path("async/", async_view),
    path("class/", ClassView.as_view()),
]


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("/view/", ["view"]),
        ("/async/", ["async_view"]),
        ("/class/", ["dispatch", "ClassView.get"]),
    ],
)
@override_settings(ROOT_URLCONF=__name__)
def test_a_traced_view_is_below_its_request(url: str, names: list[str]) -> None:
    with capture() as captured:
        answer = Client().get(url)
        async_answer = asyncio.run(AsyncClient().get(url))
    assert answer.content.decode() == async_answer.content.decode() == names[-1]
    for request in captured.roots:
        assert request.name == f"GET {url}"
        assert [one.name for one in request.walk()][1:] == names


def test_a_traced_function_can_be_a_celery_task() -> None:
    app = Celery("x", set_as_current=False, broker="memory://")
    task = app.task(name="total")(total)

    captured = spans_of(lambda: task.apply(args=([1, 2],)).get())
    assert captured.one("total").attributes == {CODE_FUNCTION_NAME: f"{__name__}.total"}
