"""A manage.py that instruments Django first, as contrib's documentation shows it."""

from __future__ import annotations

import sys

from django.core.management import execute_from_command_line

from tests.site.guest import instrument

if __name__ == "__main__":
    instrument()
    execute_from_command_line(sys.argv)
