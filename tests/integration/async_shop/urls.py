"""The shop's addresses and one more."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from django.http import JsonResponse
from django.urls import include, path

if TYPE_CHECKING:
    from django.http import HttpRequest

log = logging.getLogger(__name__)


async def restock_now(request: HttpRequest) -> JsonResponse:
    """Send a task from a thread, and say so from a task of the loop."""
    from shop.tasks import restock

    await asyncio.to_thread(restock.delay)
    await asyncio.create_task(_say())
    return JsonResponse({})


async def _say() -> None:
    log.warning("restocking asked for")


urlpatterns = [path("restock/", restock_now), path("", include("shop.urls"))]
