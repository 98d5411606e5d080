"""Folders that only this user can read, and that version control doesn't see."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from otel_django.conf.settings import DATA_DIR

NOFOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
PRIVATE_FILE: Final = 0o600


def make_private_folder(path: Path) -> None:
    """Make ``path`` and what is missing above it, each 0700; OSError when that can't be done.

    Ours gets a ``.gitignore``. What root makes belongs to the owner of the folder above it: a
    command run by root must not lock out the site's own user.
    """
    missing = []
    folder = path
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            give_to_owner_above(folder)
    for folder in (path, *path.parents):
        if folder.name == DATA_DIR:
            _ignore(folder / ".gitignore")


def give_to_owner_above(path: Path) -> None:
    """As root, hand ``path`` to the owner of its folder; nothing otherwise."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        above = path.parent.stat()
        if above.st_uid != 0:
            with contextlib.suppress(OSError):
                os.chown(path, above.st_uid, above.st_gid, follow_symlinks=False)


def _ignore(path: Path) -> None:
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NOFOLLOW, PRIVATE_FILE)
        os.write(fd, b"*\n")
        os.close(fd)
        give_to_owner_above(path)
