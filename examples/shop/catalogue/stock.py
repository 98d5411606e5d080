"""Asks the stock service how many units are left."""

import importlib.util
import json
import urllib.request
from typing import Any

from django.conf import settings

HAS_REQUESTS = importlib.util.find_spec("requests") is not None
TIMEOUT_S = 2.0


def units_available(slug: str) -> int | None:
    """None when there is no stock service, or it has no answer."""
    if not settings.STOCK_SERVICE_URL:
        return None
    try:
        return int(answer_of(f"{settings.STOCK_SERVICE_URL}/api/stock/{slug}/")["units"])
    except (OSError, ValueError, KeyError):
        return None


def answer_of(url: str) -> Any:
    if HAS_REQUESTS:
        import requests

        response = requests.get(url, timeout=TIMEOUT_S)
        response.raise_for_status()
        return response.json()
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply:  # noqa: S310 - a setting's URL
        return json.load(reply)
