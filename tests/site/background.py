"""Views that have work done elsewhere: by a command, by a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.urls import path

if TYPE_CHECKING:
    from django.urls import URLPattern


def command(request: HttpRequest) -> HttpResponse:
    """Call a command of the site."""
    call_command("work")
    return HttpResponse("ok")


def enqueue(request: HttpRequest) -> HttpResponse:
    """Send a task of Django's framework; answers with its id."""
    from tests.site import django_tasks

    result = getattr(django_tasks, request.GET["task"]).enqueue("Zx9MARKq7Zx9")
    return HttpResponse(result.id)


urlpatterns: list[URLPattern] = [path("command/", command), path("enqueue/", enqueue)]
