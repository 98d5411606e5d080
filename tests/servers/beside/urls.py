"""Views whose requests Sentry, django-structlog and this package all watch."""

from __future__ import annotations

import urllib.request
from typing import Any

import structlog
from django.core.cache import cache
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django_structlog.signals import bind_extra_request_metadata

import otel_django
from tests.servers.beside.sentry_events import events
from tests.site import views
from tests.site.models import Book


@receiver(bind_extra_request_metadata)
def use_one_id(request: HttpRequest, logger: Any, **kwargs: Any) -> None:
    structlog.contextvars.bind_contextvars(
        request_id=getattr(request, "otel_request_id", None),
        trace_id=otel_django.current_trace_id(),
    )


def work(request: HttpRequest) -> JsonResponse:
    """A query, a cache operation, and what is on the log lines."""
    Book.objects.exists()
    cache.get("book:1")
    return JsonResponse(structlog.contextvars.get_contextvars())


def fail(request: HttpRequest) -> HttpResponse:
    raise ValueError("refused")


def call(request: HttpRequest) -> HttpResponse:
    """What a service that this site calls is sent."""
    with urllib.request.urlopen(f"http://{request.get_host()}/headers/", timeout=10) as answer:
        return HttpResponse(answer.read(), content_type="application/json")


def headers(request: HttpRequest) -> JsonResponse:
    return JsonResponse({name.lower(): value for name, value in request.headers.items()})


def sentry(request: HttpRequest) -> JsonResponse:
    return JsonResponse(events, safe=False)


urlpatterns = [
    path("livez", views.plain),
    path("work/", work),
    path("fail/", fail),
    path("call/", call),
    path("headers/", headers),
    path("sentry/", sentry),
]
