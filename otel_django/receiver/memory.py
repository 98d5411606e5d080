"""Large pieces of memory, given back to the system as soon as they are free."""

from __future__ import annotations

import contextlib
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_LARGE: Final = 1 << 20


def give_back_large_pieces() -> None:
    """What is larger than 1 MiB is mapped by itself, in this process, from now on.

    By itself glibc raises that bound to the largest piece that was freed (32 MiB at most). Bodies
    of requests then lie in the heaps of the threads that read them, which keep them: twice the
    memory of those that are there at once. Other C libraries are left as they are.

    Source: mallopt(3), M_MMAP_THRESHOLD.
    """
    with contextlib.suppress(ImportError, AttributeError, OSError, TypeError):  # it isn't there
        import ctypes

        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
