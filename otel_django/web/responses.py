"""Responses of the endpoints as Django's."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from django.http import HttpResponse

if TYPE_CHECKING:
    from django.http import HttpRequest

    from otel_django.web.metrics_answer import Answer


def as_response(answer: Answer, request: HttpRequest) -> HttpResponse:
    """The same to Django; a HEAD request is told the length and sent no body."""
    body = b"" if request.method == "HEAD" else answer.body
    response = HttpResponse(body, status=answer.status, headers=dict(answer.headers))
    if answer.status != HTTPStatus.NOT_MODIFIED:
        response.headers["Content-Length"] = str(len(answer.body))
    return response
