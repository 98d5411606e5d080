"""Starting the demonstration for real."""

from __future__ import annotations

import os
import socket
from pathlib import Path

DEMO = Path(__file__).resolve().parents[1] / "examples" / "shop" / "demo.py"


def demo_environment(folder: Path) -> dict[str, str]:
    """A free port, its data in ``folder``, and nothing of the tests' own telemetry."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    inherited.pop("DJANGO_SETTINGS_MODULE", None)
    return inherited | {"PORT": str(port), "DEMO_DIR": str(folder)}
