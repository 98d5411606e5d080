"""Views of every shape a request can take; see ``urls.py`` for their paths."""

from __future__ import annotations

import asyncio
import io
import time
from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import connection
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

import otel_django

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

EVENTS: list[str] = []
"""What streaming bodies did, in order; tests clear it."""


def plain(request: HttpRequest, **captured: object) -> HttpResponse:
    return HttpResponse("ok")


async def plain_async(request: HttpRequest, **captured: object) -> HttpResponse:
    await asyncio.sleep(0)
    return HttpResponse("ok")


def current(request: HttpRequest) -> JsonResponse:
    """The context a view sees."""
    from opentelemetry import trace  # not at import: `manage.py check` must not load it

    context = trace.get_current_span().get_span_context()
    return JsonResponse(
        {
            "trace_id": f"{context.trace_id:032x}",
            "span_id": f"{context.span_id:016x}",
            "request_id": getattr(request, "otel_request_id", None),
        }
    )


async def current_async(request: HttpRequest) -> JsonResponse:
    await asyncio.sleep(0)
    return current(request)


def queries(request: HttpRequest, count: int) -> HttpResponse:
    """So many queries."""
    from tests.site.models import Author

    for _ in range(count):
        list(Author.objects.all())
    return HttpResponse("asked")


def work(request: HttpRequest) -> None:
    """As many milliseconds as are asked for."""
    end_s = time.thread_time() + float(request.GET.get("ms", "0")) / 1000
    while time.thread_time() < end_s:
        pass


def small_parts(request: HttpRequest, count: int) -> HttpResponse:
    """So many spans of the site's own that take next to nothing, and some work."""
    work(request)
    for _ in range(count):
        with otel_django.span("part", number=count):
            pass
    return HttpResponse("parted")


def small_queries(request: HttpRequest, count: int) -> HttpResponse:
    """So many queries that take next to nothing and need no table, and some work."""
    work(request)
    with connection.cursor() as cursor:
        for _ in range(count):
            cursor.execute("SELECT 1")
    return HttpResponse("asked")


class Methods(View):
    """A class-based view."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("got")

    @method_decorator(csrf_exempt)
    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=201)


class MethodsAsync(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0)
        return HttpResponse("got")


class Instance:
    """A view that is an instance, without a ``__name__``."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("called")


def raises(request: HttpRequest) -> HttpResponse:
    password = "hunter2-local"  # noqa: F841 - must not leave in a stack trace
    raise ValueError("broken view, token=abc123secret")


async def raises_async(request: HttpRequest) -> HttpResponse:
    raise ValueError("broken async view")


def raises_not_found(request: HttpRequest) -> HttpResponse:
    raise Http404("nothing here")


def raises_denied(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def raises_suspicious(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation("odd")


def answers_500(request: HttpRequest) -> HttpResponse:
    return HttpResponse("down", status=500)


def no_content(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


def moved(request: HttpRequest) -> HttpResponse:
    return redirect("/plain/")


def template(request: HttpRequest) -> HttpResponse:
    return render(request, "page.html", {"rows": range(3)})


def slow(request: HttpRequest) -> HttpResponse:
    time.sleep(float(request.GET.get("s", "0.05")))
    return HttpResponse("slept")


async def slow_async(request: HttpRequest) -> HttpResponse:
    EVENTS.append("view started")
    try:
        await asyncio.sleep(float(request.GET.get("s", "0.05")))
    except asyncio.CancelledError:
        EVENTS.append("view cancelled")
        raise
    return HttpResponse("slept")


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(io.BytesIO(b"x" * 10_000), filename="x.bin")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Three chunks, each with the trace id current while it is made."""
    return StreamingHttpResponse(_chunks(float(request.GET.get("pause", "0.01"))))


def stream_long(request: HttpRequest) -> StreamingHttpResponse:
    """Far more than a socket's buffers hold."""
    return StreamingHttpResponse(b"x" * 65_536 for _ in range(2000))


def stream_raises(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(_failing_chunks())


def stream_list(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(["a", "b"])


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(_chunks_async(float(request.GET.get("pause", "0.01"))))


async def stream_async_raises(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(_failing_chunks_async())


def context(request: HttpRequest) -> JsonResponse:
    """What a view finds in the OpenTelemetry context, apart from the span."""
    from opentelemetry import baggage

    from otel_django.tracing import request_id

    assert request_id.current() == getattr(request, "otel_request_id", None)
    return JsonResponse({"baggage": dict(baggage.get_all()), "request_id": request_id.current()})


def own_request_id(request: HttpRequest) -> HttpResponse:
    return HttpResponse(headers={"x-request-id": "the site's"})


def own_timing(request: HttpRequest) -> HttpResponse:
    return HttpResponse(headers={"Server-Timing": "db;dur=5"})


async def user_async(request: HttpRequest) -> HttpResponse:
    found = await request.auser()
    return HttpResponse(str(found.is_authenticated))


async def nested_async(request: HttpRequest) -> HttpResponse:
    """Makes a request to its own site."""
    from django.test import AsyncClient

    response = await AsyncClient().get("/plain/")
    return HttpResponse(response.content)


def user(request: HttpRequest) -> HttpResponse:
    """Loads the user, as views that check permissions do."""
    return HttpResponse(str(request.user.is_authenticated))


def user_untouched(request: HttpRequest) -> HttpResponse:
    return HttpResponse("not loaded")


def _current_trace() -> str:
    from opentelemetry import trace

    return f"{trace.get_current_span().get_span_context().trace_id:032x}\n"


def _chunks(pause_s: float) -> Iterator[str]:
    try:
        for _ in range(3):
            time.sleep(pause_s)
            yield _current_trace()
    finally:
        EVENTS.append("stream closed")


def _failing_chunks() -> Iterator[str]:
    yield "first"
    raise OSError("disk gone")


async def _chunks_async(pause_s: float) -> AsyncIterator[str]:
    try:
        for _ in range(3):
            await asyncio.sleep(pause_s)
            yield _current_trace()
    finally:
        EVENTS.append("stream closed")


async def _failing_chunks_async() -> AsyncIterator[str]:
    yield "first"
    raise OSError("disk gone")
