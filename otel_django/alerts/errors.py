"""What is wrong with a rule, in words for whoever wrote it."""

from __future__ import annotations

from otel_django.errors import OtelDjangoError


class RuleError(OtelDjangoError):
    """A rule can't be used; the text says why and what is allowed."""
