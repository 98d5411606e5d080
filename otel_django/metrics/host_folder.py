"""The folder in which a service's processes on one host show each other their sums.

    BOOT-PID-START-RANDOM.sums   one process's, locked for as long as it lives
    BOOT.folded                  counters and histograms of those that are gone
    BOOT-NAME.sent               what was exported last (``exporting``)
    fold.lock exporter.lock      held by who folds, by who exports

BOOT names the start of the machine; what is left of an earlier one is taken away. All sums began
at zero when the folded file was made first: that is their start, whoever exports them.

Folding writes a new file and renames it. The new one names the files that are in it, for the case
that the process dies before it has deleted them. Who reads does without a lock: it reads again if
the folded file was replaced meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from otel_django import guard, host_environment
from otel_django.errors import ReadError
from otel_django.file_lock import BINARY, CLOEXEC, is_locked, let_go, try_lock
from otel_django.metrics.host_file import Content, FileError, HostFile, read_content
from otel_django.metrics.host_table import Table
from otel_django.private_folder import (
    NOFOLLOW,
    PRIVATE_FILE,
    give_to_owner_above,
    make_private_folder,
    refuse_others,
    temporary_run_dir,
)

_logger = logging.getLogger(guard.LOGGER_NAME)
_FLAGS: Final = NOFOLLOW | CLOEXEC | BINARY | getattr(os, "O_NONBLOCK", 0)
_NAME: Final = re.compile(r"([0-9a-f]+)(-\d+-\d+-[0-9a-f]+\.sums|\.folded|-\w+\.sent)")
FOLD_LOCK: Final = "fold.lock"
EXPORTER_LOCK: Final = "exporter.lock"
NEW: Final = ".new-"
ATTEMPTS: Final = 50
HALF_MADE_S: Final = 60.0
FILES_A_FOLD: Final = 100
"""They are held open together, by a process that needs descriptors for its own."""


class ProcessFile(NamedTuple):
    """A process's own file."""

    file: HostFile
    path: Path


class HostFolder:
    """One service's folder. ``bad_files`` counts those that could not be read.

    Raises:
        OSError: it can't be made, or isn't this user's alone.
    """

    def __init__(self, path: Path, *, pause: Callable[[], object]) -> None:
        self.path = path
        self.bad_files = 0
        self._bad: set[str] = set()
        self._pause = pause
        self._boot = host_environment.boot_id()
        self._folded = path / f"{self._boot}.folded"
        self._begin()

    def _begin(self) -> None:
        """Make the folder and the folded file, unless they are there."""
        if self._folded.exists():
            return
        make_private_folder(self.path)
        refuse_others(self.path)
        empty = Table(time.time_ns(), self._pause).encode()
        with self._new_file(empty) as new, contextlib.suppress(FileExistsError):
            os.link(new, self._folded)

    # --- this process's file

    def create(self) -> ProcessFile:
        """A new file, locked before anybody sees it; OSError where that can't be done."""
        self._begin()
        process = f"{os.getpid()}-{host_environment.process_start()}"
        name = f"{self._boot}-{process}-{secrets.token_hex(4)}.sums"
        hidden, path = self.path / f"{NEW}{name}", self.path / name
        fd = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, PRIVATE_FILE)
        try:
            if not try_lock(fd):
                raise OSError(errno.EWOULDBLOCK, "a new file is locked by another process")
            file = HostFile(fd, time.time_ns(), self._pause)
            give_to_owner_above(hidden)
            hidden.rename(path)
        except BaseException:
            os.close(fd)
            with contextlib.suppress(OSError):
                hidden.unlink()
            raise
        return ProcessFile(file, path)

    def has(self, name: str, fd: int) -> bool:
        """The file of that name is still the open one."""
        try:
            return os.path.samestat(os.fstat(fd), (self.path / name).stat())
        except OSError:
            return False

    def lock(self, name: str) -> int | None:
        """Hold a lock file; None when another process does. Closing the descriptor lets it go."""
        path = self.path / name
        fd = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, PRIVATE_FILE)
        try:
            if try_lock(fd) and self.has(name, fd):
                give_to_owner_above(path)
                return fd
        except OSError:
            os.close(fd)
            raise
        os.close(fd)
        return None

    # --- reading

    def read(self) -> Table:
        """The sums of all processes, living ones and others.

        Raises:
            ReadError: they could not be read as a whole; nothing is shown rather than less than
                before.
        """
        for _ in range(ATTEMPTS):
            try:
                table = self._read_once()
            except OSError as error:
                raise ReadError(f"the folder of this host's sums can't be read: {error}") from error
            if table is not None:
                return table
            time.sleep(0.002)
        raise ReadError("the sums of this host's processes change too fast to be read")

    def _read_once(self) -> Table | None:
        """None when the folded file was replaced meanwhile."""
        try:
            fd = os.open(self._folded, os.O_RDONLY | _FLAGS)
        except FileNotFoundError:
            self._begin()
            return None
        try:
            folded = self._content(fd, self._folded)
            if folded is None:
                folded = Content(os.fstat(fd).st_mtime_ns)
            table = Table(folded.start_ns, self._pause)
            table.add(folded, alive=False)
            for path in self._process_files():
                if path.name not in folded.noted:
                    self._add_file(table, path)
            same = os.path.samestat(os.fstat(fd), self._folded.stat())
        except FileNotFoundError:
            return None
        finally:
            os.close(fd)
        return table if same else None

    def _add_file(self, table: Table, path: Path) -> None:
        try:
            fd = os.open(path, os.O_RDONLY | _FLAGS)
        except FileNotFoundError:
            return  # folded meanwhile: the folded file is another one then
        try:
            self._add_content(table, fd, path, alive=is_locked(fd))
        finally:
            os.close(fd)

    def _add_content(self, table: Table, fd: int, path: Path, *, alive: bool) -> None:
        content = self._content(fd, path)
        if content is not None:
            try:
                table.add(content, alive=alive)
            except FileError as error:
                self._say_bad(path, error)

    def _content(self, fd: int, path: Path) -> Content | None:
        """None for a file that can't be used."""
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise FileError("not a regular file")
            return read_content(fd, _wait)
        except FileError as error:
            self._say_bad(path, error)
            return None

    def _say_bad(self, path: Path, error: FileError) -> None:
        if path.name not in self._bad:
            self._bad.add(path.name)
            self.bad_files += 1
            _logger.warning("The file %s of a process's sums is left out: %s", path, error)

    def _process_files(self) -> list[Path]:
        with os.scandir(self.path) as entries:
            return sorted(
                Path(entry.path)
                for entry in entries
                if (match := _NAME.fullmatch(entry.name))
                and match[1] == self._boot
                and entry.name.endswith(".sums")
            )

    def others_live(self, own: Path | None) -> bool | None:
        """Whether another process has a file here.

        None: that can't be said while somebody folds, who holds the files of the dead.
        """
        lock = self.lock(FOLD_LOCK)
        if lock is None:
            return None
        try:
            return any(path != own and _lives(path) for path in self._process_files())
        finally:
            let_go(lock)

    # --- folding

    def fold(self, limit: int) -> bool:
        """Add up what processes that are gone have left, within ``limit`` series a metric.

        False when another process is at it.
        """
        lock = self.lock(FOLD_LOCK)
        if lock is None:
            return False
        try:
            self._sweep()
            while self._fold_some(limit) == FILES_A_FOLD:
                self._pause()
        finally:
            let_go(lock)
        return True

    def _fold_some(self, limit: int) -> int:
        """How many files."""
        dead: dict[Path, int] = {}
        try:
            self._hold_dead_files(dead)
            if dead:
                self._fold(dead, limit)
        finally:
            for fd in dead.values():
                let_go(fd)
        return len(dead)

    def _hold_dead_files(self, held: dict[Path, int]) -> None:
        """Those nobody holds, held by us from now on."""
        for path in self._process_files():
            if len(held) == FILES_A_FOLD:
                return
            with contextlib.suppress(OSError):
                fd = os.open(path, os.O_RDWR | _FLAGS)
                if try_lock(fd):
                    held[path] = fd
                else:
                    os.close(fd)

    def _fold(self, dead: dict[Path, int], limit: int) -> None:
        folded = self._read_folded()
        table = Table(folded.start_ns, self._pause)
        table.add(folded, alive=False)
        for path, fd in dead.items():
            if path.name in folded.noted:
                continue
            self._add_content(table, fd, path, alive=False)
        table.drop_outdated()
        if any(len(group.series) >= limit for group in table.groups.values()):
            table.limit(limit, self.read())
        with self._new_file(table.encode([path.name for path in dead])) as new:
            new.replace(self._folded)
        for path in dead:
            path.unlink(missing_ok=True)
            self._bad.discard(path.name)

    def _read_folded(self) -> Content:
        fd = os.open(self._folded, os.O_RDONLY | _FLAGS)
        try:
            return self._content(fd, self._folded) or Content(os.fstat(fd).st_mtime_ns)
        finally:
            os.close(fd)

    def _sweep(self) -> None:
        """Take away what is left of an earlier start of the machine, and what was half made."""
        booted_s = None
        with os.scandir(self.path) as entries:
            found = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
        for entry in found:
            match = _NAME.fullmatch(entry.name)
            changed_s = entry.stat(follow_symlinks=False).st_mtime
            if match and match[1] != self._boot:
                booted_s = booted_s or host_environment.boot_time_s()
                old = changed_s < booted_s
            else:
                old = entry.name.startswith(NEW) and time.time() - changed_s > HALF_MADE_S
            if old and not _lives(Path(entry.path)):
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()

    # --- other files

    def sent_path(self, name: str) -> Path:
        """Where it is noted what was exported last to the sink of that name."""
        return self.path / f"{self._boot}-{name}.sent"

    def read_sent(self, name: str) -> Content | None:
        """None when nothing was, or what can't be read."""
        path = self.sent_path(name)
        try:
            fd = os.open(path, os.O_RDONLY | _FLAGS)
        except FileNotFoundError:
            return None
        try:
            return self._content(fd, path)
        finally:
            os.close(fd)

    def write_sent(self, name: str, data: bytes) -> None:
        """Replace it."""
        with self._new_file(data) as new:
            new.replace(self.sent_path(name))

    @contextlib.contextmanager
    def _new_file(self, data: bytes) -> Iterator[Path]:
        """A file with ``data``, to be given its name; gone afterwards if it has none."""
        path = self.path / f"{NEW}{os.getpid()}-{secrets.token_hex(4)}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, PRIVATE_FILE)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
            give_to_owner_above(path)
            yield path
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def _wait() -> None:
    time.sleep(0.001)


def _lives(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | _FLAGS)
    except OSError:
        return False
    try:
        return is_locked(fd)
    finally:
        os.close(fd)


def usable_folder(run_dir: Path, service: str, *, pause: Callable[[], object]) -> HostFolder | None:
    """The service's folder in ``run_dir``, else beneath the temporary directory, else None.

    A full disk is no reason to go elsewhere: other processes may have been in time.
    """
    if sys.platform == "win32":
        return None  # its locks keep others from reading, and its open files from being renamed
    name = folder_name(service)
    try:
        return HostFolder(run_dir / name, pause=pause)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return None
        _logger.info("No folder for this host's sums in %s: %s", run_dir, error)
    try:
        return HostFolder(temporary_run_dir(run_dir) / name, pause=pause)
    except OSError as error:
        _logger.info("No folder for this host's sums in the temporary directory: %s", error)
        return None


def folder_name(service: str) -> str:
    """``service`` as the name of a folder: itself where it can be."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", service)[:80].lstrip(".")
    if plain == service:
        return plain
    return f"{plain}-{hashlib.sha256(service.encode()).hexdigest()[:8]}"
