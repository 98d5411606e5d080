"""Built-in checks, a file each: ``checks(settings)`` gives what it has to check."""

from __future__ import annotations
