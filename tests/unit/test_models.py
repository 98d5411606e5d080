"""The tables: what the models say is what the migrations make."""

from __future__ import annotations

from django.core.management import call_command
from django.test import override_settings


def test_the_migrations_make_what_the_models_say_whatever_the_sites_keys_are() -> None:
    for field in ("django.db.models.BigAutoField", "django.db.models.AutoField"):
        with override_settings(DEFAULT_AUTO_FIELD=field):
            call_command("makemigrations", "otel_django", check=True, dry_run=True, verbosity=0)
