"""The pages that are measured."""

from __future__ import annotations

import logging

from django.core.cache import cache
from django.db.models import Avg, Max
from django.http import HttpRequest, HttpResponse, JsonResponse

from benchmarks.site.models import Item

QUERIES = 10
_logger = logging.getLogger("shop.orders")


def trivial(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


def queries(request: HttpRequest) -> JsonResponse:
    """Ten different statements with few rows each, as a page without an N+1 has."""
    items = Item.objects
    return JsonResponse(
        {
            "one": items.get(pk=1).name,
            "by_name": [item.price for item in items.filter(name="item 2")],
            "cheapest": [item.name for item in items.order_by("price")[:5]],
            "some": [item.name for item in items.filter(pk__in=(3, 4, 5))],
            "names": list(items.filter(price__lt=50).values_list("name", flat=True)),
            "prices": list(items.exclude(price__gt=30).values("id", "price")),
            "count": items.count(),
            "exists": items.filter(price=70).exists(),
            "last": str(items.order_by("name").last()),
            "summary": items.aggregate(Avg("price"), Max("price")),
        }
    )


def repeated(request: HttpRequest) -> JsonResponse:
    """The same primary-key look-up ten times: an N+1."""
    return JsonResponse({"names": [Item.objects.get(pk=pk).name for pk in range(1, QUERIES + 1)]})


def cached(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"greeting": cache.get("greeting", "hello")})


def livez(request: HttpRequest) -> HttpResponse:
    """As a site without this package has it."""
    return HttpResponse("OK", content_type="text/plain")


def record(request: HttpRequest, count: int) -> JsonResponse:
    """``count`` log records with two arguments and one field."""
    for number in range(count):
        _logger.info("order %d placed by %s", number, "web", extra={"basket": 3})
    return JsonResponse({"ok": True})
