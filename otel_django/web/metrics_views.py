"""The endpoints that Prometheus, programs and people read metrics at."""

from __future__ import annotations

import functools
from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.signals import setting_changed
from django.views import View

from otel_django import conf
from otel_django.clock import SYSTEM_CLOCK
from otel_django.web import early
from otel_django.web.access import Access
from otel_django.web.metrics_answer import MetricsEndpoint
from otel_django.web.permissions import is_staff, may_be_logged_in
from otel_django.web.responses import as_response

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from otel_django.metrics.exposition import Format


def metrics(request: HttpRequest) -> HttpResponse:
    """The host's sums as Prometheus's text, or as OpenMetrics or JSON if asked."""
    return _answer(request, "prometheus")


def metrics_endpoint(request: HttpRequest) -> HttpResponse:
    """The host's sums as JSON, or for Prometheus if asked."""
    return _answer(request, "json")


class MetricsView(View):
    """``metrics`` as a class."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Any method; those that aren't served get a 405."""
        return metrics(request)


class MetricsEndpointView(View):
    """``metrics_endpoint`` as a class."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Any method; those that aren't served get a 405."""
        return metrics_endpoint(request)


def _answer(request: HttpRequest, default: Format) -> HttpResponse:
    endpoint = _endpoint()
    verdict = endpoint.access.verdict(request.META)
    if verdict != "allowed" and is_staff(request):
        verdict = "allowed"
    return as_response(endpoint.answer(request.META, verdict, default), request)


def _answer_early(default: Format, request: HttpRequest) -> HttpResponse | None:
    """None for somebody whom the site's middleware may know to be staff."""
    endpoint = _endpoint()
    verdict = endpoint.access.verdict(request.META)
    if verdict != "allowed" and may_be_logged_in(request):
        return None
    return as_response(endpoint.answer(request.META, verdict, default), request)


@functools.lru_cache(maxsize=1)
def _endpoint() -> MetricsEndpoint:
    settings = conf.from_django()
    return MetricsEndpoint(settings, Access.to_metrics(settings), SYSTEM_CLOCK)


def _forget(**kwargs: Any) -> None:
    _endpoint.cache_clear()


setting_changed.connect(_forget, dispatch_uid="otel_django.metrics_views")
_as_text = partial(_answer_early, "prometheus")
_as_json = partial(_answer_early, "json")
early.answers_early(metrics, _as_text)
early.answers_early(MetricsView, _as_text)
early.answers_early(metrics_endpoint, _as_json)
early.answers_early(MetricsEndpointView, _as_json)
