"""Which board counts now: the deployment's, or for want of it the host's."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from otel_django import guard
from otel_django.observers.board import Board, BoardAway

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_django.observers.folder_board import FolderBoard

_logger = logging.getLogger(guard.LOGGER_NAME)
PATIENCE_S: Final = 45.0
"""How long a database that has worked may be away before each host is on its own."""
RETRY_S: Final = 60.0


class Places:
    """The boards of this process; all but ``host`` is for the observers' thread.

    ``open_folder`` gives the host's board, None where there can't be one.
    """

    def __init__(self, database: Board, open_folder: Callable[[], FolderBoard | None]) -> None:
        self.retry_every_s = RETRY_S
        self._database = database
        self._open_folder = open_folder
        self._folder: FolderBoard | None = None
        self._opened = False
        self._opening = threading.Lock()
        self._away = False
        self._patience_s = 0.0
        self._failing_since_s: float | None = None
        self._retry_s = 0.0

    @property
    def host(self) -> FolderBoard | None:
        """The host's board."""
        if not self._opened:
            with self._opening:
                if not self._opened:
                    self._folder = self._open_folder()
                    self._opened = True
        return self._folder

    def deployment(self, now_s: float) -> Board | None:
        """The deployment's board, or what stands for it."""
        if self._away and now_s >= self._retry_s:
            self._retry_s = now_s + self.retry_every_s
            self._try_again()
        return self.host if self._away else self._database

    def _try_again(self) -> None:
        try:
            self._database.get("")
        except BoardAway:
            return
        self._away = False
        self._failing_since_s = None
        _logger.info("The deployment's processes find each other in the database again.")

    def worked(self, board: Board) -> None:
        """A call of this board went well."""
        if board is self._database:
            self._patience_s = PATIENCE_S
            self._failing_since_s = None

    def failed(self, board: Board, error: BoardAway, now_s: float) -> None:
        """A call of this board didn't: see whether to do without it."""
        if board is not self._database or self._away:
            return
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        if now_s - self._failing_since_s < self._patience_s:
            return
        self._away = True
        self._retry_s = now_s + self.retry_every_s
        _logger.log(
            logging.WARNING if self._patience_s else logging.INFO,  # or it has never been there
            "The table of otel_django can't be used (%s): each host observes for itself what one "
            "process of the whole deployment would. `manage.py migrate` makes the table; "
            "OTEL_DJANGO_DATABASE names its database.",
            error,
        )

    def after_fork(self) -> None:
        """In a forked child: the locks are the parent's."""
        self._opening = threading.Lock()
        if self._folder is not None:
            self._folder.release_all()
