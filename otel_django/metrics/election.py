"""Which process of a host exports: the one that holds a lock, until it ends, however it ends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from otel_django.file_lock import let_go
from otel_django.metrics.host_folder import EXPORTER_LOCK

if TYPE_CHECKING:
    from otel_django.metrics.host_folder import HostFolder


class Election:
    """This process's part in it."""

    def __init__(self) -> None:
        self.held = False
        self._fd: int | None = None

    def stand(self, folder: HostFolder | None) -> bool:
        """Whether this process has been elected just now; without a folder, each is.

        Raises:
            OSError: the lock can't be made.
        """
        if self.held and (
            self._fd is None or folder is None or folder.has(EXPORTER_LOCK, self._fd)
        ):
            return False
        self.release()
        if folder is not None:
            self._fd = folder.lock(EXPORTER_LOCK)
        self.held = folder is None or self._fd is not None
        return self.held

    def release(self) -> None:
        """Let another one have it."""
        if self._fd is not None:
            let_go(self._fd)
        self._fd = None
        self.held = False

    def after_fork(self) -> None:
        """In a forked child: leave it to the parent."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None
        self.held = False
