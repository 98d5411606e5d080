"""What this package keeps in the site's database; ``OTEL_DJANGO_DATABASE`` names its alias."""

from __future__ import annotations

from django.db import models


class Lease(models.Model):
    """Who does for the whole deployment what only one process is to do, and what came of it last.

    Times are milliseconds since the epoch, by the database's clock. ``result`` is JSON.
    """

    name = models.CharField(max_length=200, primary_key=True)
    owner = models.CharField(max_length=64, default="")
    until_ms = models.BigIntegerField(default=0)
    result = models.TextField(default="")
    observed_ms = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.name
