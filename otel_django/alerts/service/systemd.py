"""What systemd is told: that the service is ready, that it is alive, that it stops.

The protocol is that of ``sd_notify(3)``: a datagram to the socket that NOTIFY_SOCKET names.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Systemd:
    """``path`` may begin with ``@`` (an abstract socket); empty: there is nobody to tell.

    ``watchdog_s`` is how often it wants to hear that all is well, None: not at all.
    """

    path: str = ""
    watchdog_s: float | None = None

    def tell(self, *lines: str) -> None:
        """Such as READY=1. Nothing fails if nobody hears it."""
        if not self.path:
            return
        address = f"\0{self.path[1:]}" if self.path.startswith("@") else self.path
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(), address)
