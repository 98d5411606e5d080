"""Does and ends as it is told."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tests.site.models import Author


class Command(BaseCommand):
    """``manage.py work --queries 6 fail``."""

    def add_arguments(self, parser: CommandParser) -> None:
        """How to end, and what to do before."""
        parser.add_argument("ending", nargs="?", default="")
        parser.add_argument("--queries", type=int, default=0)
        parser.add_argument("--call", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        for number in range(options["queries"]):
            Author.objects.filter(name=f"{number}").exists()
        if options["call"]:
            call_command(options["call"], verbosity=0)
        ending = options["ending"]
        if ending == "refuse":
            raise CommandError("no such file: token=Zx9MARKq7Zx9", returncode=3)
        if ending == "fail":
            raise ValueError("password=Zx9MARKq7Zx9")
        if ending == "interrupt":
            raise KeyboardInterrupt
        if ending == "wait":
            self.stdout.write("waiting")
            self.stdout.flush()
            time.sleep(60)
        if ending == "terminate":
            os.kill(os.getpid(), signal.SIGTERM)
        if ending.startswith("exit"):
            sys.exit(int(ending.removeprefix("exit") or "0"))
