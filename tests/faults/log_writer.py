"""One of several writers of a log file; arguments: path, name, lines, size, keep."""

from __future__ import annotations

import sys
from pathlib import Path

from otel_django.logs.file import LogFile
from otel_django.logs.rotation import rotation_from

path, name, lines, size, keep = sys.argv[1:]
file = LogFile(Path(path), rotation_from(size), int(keep))
for number in range(int(lines)):
    file.write(f'{{"{name}":{number},"text":"{name * (number % 90)}"}}\n'.encode())
sys.exit(file.lost)
