"""The pages that are measured."""

from __future__ import annotations

from django.core.cache import cache
from django.http import HttpRequest, JsonResponse

from benchmarks.site.models import Item

QUERIES = 10


def trivial(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


def queries(request: HttpRequest) -> JsonResponse:
    """Ten primary-key look-ups, one SELECT each."""
    return JsonResponse({"names": [Item.objects.get(pk=pk).name for pk in range(1, QUERIES + 1)]})


def cached(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"greeting": cache.get("greeting", "hello")})
