"""A WSGI file that instruments Django when the application is made already."""

from __future__ import annotations

from tests.site.guest import instrument
from tests.site.wsgi import application

instrument()

__all__ = ["application"]
