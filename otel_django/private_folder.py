"""Folders that only this user can read, and that version control doesn't see."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from otel_django import host_environment
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


def temporary_run_dir(run_dir: Path) -> Path:
    """Ours in the system's temporary directory, another one for each ``run_dir``.

    Raises:
        OSError: it can't be made, or isn't this user's alone.
    """
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    ours = host_environment.temporary_folder() / f"otel_django-{user}"
    make_private_folder(ours)
    refuse_others(ours, even_as_root=True)
    return ours / hashlib.sha256(str(run_dir).encode()).hexdigest()[:12]


def refuse_others(path: Path, *, even_as_root: bool = False) -> None:
    """OSError unless it is a folder of this user's; root works in a site's own folders as well.

    Anybody may have made one of this name in the temporary directory, for root to work in too.
    """
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(path))
    if not hasattr(os, "geteuid") or (not os.geteuid() and not even_as_root):
        return
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "belongs to another user", str(path))


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
