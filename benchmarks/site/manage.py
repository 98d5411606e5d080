from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

from benchmarks.site.observers import current

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.site.settings")
    current().start()
    execute_from_command_line(sys.argv)
