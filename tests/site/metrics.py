"""Metrics of the site's own."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from otel_django import counter

ORDERS = counter("orders.placed", "{order}")


def measured(request: HttpRequest) -> HttpResponse:
    from opentelemetry import metrics  # other pages show that it isn't loaded for their sake

    ORDERS.add(2, {"channel": "web"})
    metrics.get_meter("shop").create_counter("orders.shipped", "{order}").add(3)
    return HttpResponse("measured")
