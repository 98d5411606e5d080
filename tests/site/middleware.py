"""Middleware that answers before any view is reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class EarlyAnswer:
    """Class-based, sync only: ``/early/*`` never gets further."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith("/early/raise"):
            raise LookupError("raised by a middleware")
        if request.path_info.startswith("/early/"):
            return HttpResponse("early", status=503)
        return self.get_response(request)


@sync_and_async_middleware
def pass_on(get_response: Any) -> Any:
    """Function-based, sync and async: passes everything on."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> Any:
            return await get_response(request)

        return answer_async

    def answer(request: HttpRequest) -> Any:
        return get_response(request)

    return answer
