"""Build every program that the cache has not yet, or those that are named."""

from __future__ import annotations

import sys

from tests.stack.programs import PROGRAMS, path_of

for name in sys.argv[1:] or PROGRAMS:
    print(f"{name}: {path_of(name)}", flush=True)
