"""A lock on an open file that ends with its process, however that ends."""

from __future__ import annotations

import contextlib
import os
import sys

CLOEXEC: int = getattr(os, "O_CLOEXEC", 0)
BINARY: int = getattr(os, "O_BINARY", 0)


def try_lock(fd: int) -> bool:
    """Lock the whole file for this process, without waiting; False when another one has it.

    On Unix it is ``flock``: the lock belongs to the open file, so a forked child that closes its
    copy doesn't free the parent's. Raises OSError where the file system knows no locks.
    """
    if sys.platform == "win32":
        return _try_lock_windows(fd)
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def let_go(fd: int) -> None:
    """Unlock and close: a child that was forked meanwhile has the file, and the lock, open too."""
    if sys.platform != "win32":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


def is_locked(fd: int) -> bool:
    """Whether another process, or another open file of this one, has the whole file locked.

    Several may look at once without seeing each other.
    """
    if sys.platform == "win32":
        return not _try_lock_windows(fd)
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def _try_lock_windows(fd: int) -> bool:
    import msvcrt

    try:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return False
    return True
