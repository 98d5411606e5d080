"""The settings, for views: read once, and anew when a test overrides them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from django.core.signals import setting_changed

from otel_django import conf, names

if TYPE_CHECKING:
    from otel_django.conf import Settings


_given: Settings | None = None


@functools.lru_cache(maxsize=1)
def site_settings() -> Settings:
    """As the environment and Django's settings have them."""
    return _given or conf.from_django()


def take(settings: Settings | None) -> None:
    """From now on these, of a program that isn't the site; None: the site's own again."""
    global _given
    _given = settings
    site_settings.cache_clear()


def site_version() -> str | None:
    """``service.version``, where OTEL_RESOURCE_ATTRIBUTES says it."""
    return site_settings().resource_attributes.get(names.SERVICE_VERSION)


def _forget(**kwargs: Any) -> None:
    site_settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="otel_django.site_settings")
