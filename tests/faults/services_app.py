"""``wsgi`` and ``asgi``: the applications of ``services_site``, with a Celery app."""

from __future__ import annotations

from celery import Celery

from tests.faults.services_site import BROKER
from tests.site.asgi import application as asgi
from tests.site.wsgi import application as wsgi

app = Celery("tests", broker=f"redis://127.0.0.1:{BROKER}/1")
__all__ = ("app", "asgi", "wsgi")
