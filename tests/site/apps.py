from __future__ import annotations

from django.apps import AppConfig

from tests.site import checks


class SiteConfig(AppConfig):
    name = "tests.site"
    label = "test_site"

    def ready(self) -> None:
        checks.register()
