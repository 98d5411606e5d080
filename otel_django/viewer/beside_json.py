"""A page at the address of a JSON endpoint: browsers get the page, programs go on getting JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import SuspiciousOperation
from django.utils.cache import patch_vary_headers

from otel_django.web import early
from otel_django.web.site_settings import site_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from otel_django.web.json_endpoint import JsonView


def beside_json(answer: JsonView, page: Callable[..., HttpResponseBase]) -> JsonView:
    """``page`` for who names HTML in ``Accept``, and for pages that go on by themselves; ``answer``
    for all others and ``?format=json``.
    """

    def view(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        chosen = page if _wants_page(request) else answer
        response = chosen(request, *args, **kwargs)
        patch_vary_headers(response, ["Accept"])
        return response

    view.__name__ = view.__qualname__ = answer.__name__
    view.__doc__ = answer.__doc__
    view.operations = answer.operations  # type: ignore[attr-defined]
    early.unburden(view)
    return view


def _wants_page(request: HttpRequest) -> bool:
    if request.method not in {"GET", "HEAD"} or not site_settings().viewer:
        return False
    try:
        asked = request.GET.get("format")
    except SuspiciousOperation:  # too many parameters: the endpoint says so
        return False
    if asked:
        return asked == "html"
    if request.META.get("HTTP_HX_REQUEST") is not None:
        return True
    accept = request.META.get("HTTP_ACCEPT") or ""
    html = _quality(accept, "text/html")
    return html > 0 and html >= _quality(accept, "application/json")


def _quality(accept: str, wanted: str) -> float:
    """How much a media type that is named is wanted; ``*/*`` names none."""
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if kind == wanted:
            given = next((each[2:] for each in parameters if each.startswith("q=")), "1")
            try:
                return float(given)
            except ValueError:
                return 0.0
    return 0.0
