"""Calls ``work``."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """``manage.py outer``."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Two commands below this one: the project's and one of Django's."""
        call_command("work")
        call_command("check", verbosity=0)
