"""Views that handle secrets clumsily; ``{mark}`` in the request is what must not leave."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.core.cache import cache
from django.db import IntegrityError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from tests.site.models import Author, Book

if TYPE_CHECKING:
    from collections.abc import Callable


def mark(request: HttpRequest) -> str:
    """The secret of this request."""
    return str(request.META["HTTP_X_MARK_SECRET"])


def form(request: HttpRequest) -> HttpResponse:
    """Reads a posted password and puts it into the session cookie's answer."""
    password = request.POST.get("password", "")
    response = HttpResponse("ok")
    response.set_cookie("sessionid", password)
    return response


def query_parameters(request: HttpRequest) -> HttpResponse:
    """A parameter of the ORM, one of raw SQL, one in a list, one in many rows."""
    secret = mark(request)
    list(Author.objects.filter(name=secret))
    list(Author.objects.filter(name__in=[secret, f"{secret}2"]))
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", [secret])
        cursor.execute(f"SELECT '{secret}' -- {secret}\n/* {secret} */")
        cursor.executemany("INSERT INTO site_author (name) VALUES (%s)", [[secret], [f"{secret}2"]])
    return HttpResponse("ok")


def database_error(request: HttpRequest) -> HttpResponse:
    """Statements that fail, with values in them; the last error escapes."""
    secret = mark(request)
    try:
        with transaction.atomic():
            Book.objects.create(title=secret, author_id=-1)
            connection.check_constraints()
    except IntegrityError:
        pass
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT '{secret}' FROM no_such_table")
    return HttpResponse("never")


def cached(request: HttpRequest) -> HttpResponse:
    """Keys and values of the cache."""
    secret = mark(request)
    cache.set(f"user:{secret}", secret)
    cache.get_many([f"user:{secret}", secret])
    cache.delete(secret)
    return HttpResponse("ok")


def url_error(request: HttpRequest) -> HttpResponse:
    secret = mark(request)
    raise ConnectionError(f"https://user:{secret}@example.com/x?key={secret} refused")


def file_error(request: HttpRequest) -> HttpResponse:
    with open(f"/srv/uploads/{mark(request)}.pdf", encoding="utf-8") as file:  # noqa: PTH123
        return HttpResponse(file.read())


def header_error(request: HttpRequest) -> HttpResponse:
    secret = mark(request)
    try:
        raise KeyError(f"Authorization: Bearer {secret}")
    except KeyError as exc:
        raise RuntimeError(f"password={secret} token: '{secret}'") from exc


def spans_by_hand(request: HttpRequest) -> HttpResponse:
    """What a user's own code records."""
    from opentelemetry import trace

    secret = mark(request)
    tracer = trace.get_tracer("site")
    with tracer.start_as_current_span("work") as span:
        span.set_attribute("password", secret)
        span.set_attribute("card.number", secret)
        span.set_attribute("http.url", f"http://u:{secret}@example.com/?a={secret}")
        span.set_attribute("url.query", f"a={secret}")
        span.add_event("login", {"token": secret, "note": f"api_key={secret}"})
        span.set_status(trace.StatusCode.ERROR, f"token={secret}")
        span.record_exception(ValueError(f"secret: {secret}"))
    try:
        with tracer.start_as_current_span("driver"):
            raise IntegrityError(f"Key (email)=({secret}) already exists.")
    except IntegrityError:
        logging.getLogger("site").info("caught")
    return HttpResponse("ok")


def reset(request: HttpRequest, token: str) -> HttpResponse:
    return HttpResponse("ok")


VIEWS: list[Callable[[HttpRequest], HttpResponse]] = [
    form,
    query_parameters,
    database_error,
    cached,
    url_error,
    file_error,
    header_error,
    spans_by_hand,
]

urlpatterns = [
    *[path(f"{view.__name__}/", csrf_exempt(view)) for view in VIEWS],
    path("reset/<str:token>/", reset),
]
