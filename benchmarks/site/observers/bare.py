from __future__ import annotations

from benchmarks.site.observers import Observer

observer = Observer()
