"""Finds the project's own line of code behind a call, and the template line it renders.

Called rarely (slow and repeated statements): a walk up the stack costs some microseconds.
"""

from __future__ import annotations

import asyncio
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from otel_django import names

_OURS = str(Path(__file__).resolve().parent.parent) + "/"
_MAX_FRAMES = 300
_MAX_TASKS = 500
_MAX_KNOWN_FILES = 20_000
_PACKAGE_FOLDERS = ("/site-packages/", "/dist-packages/")


class Caller(NamedTuple):
    """Where the project runs a statement.

    ``file`` is relative to the project's folder, None where no line of the project's is on the
    stack; ``template`` and ``template_line`` name the template tag being rendered between that line
    and the statement, if one is.
    """

    file: str | None
    line: int
    function: str
    template: str | None = None
    template_line: int | None = None

    def attributes(self) -> dict[str, str | int]:
        """As span attributes."""
        found: dict[str, str | int] = {}
        if self.file is not None:
            found = {
                names.CODE_FILE_PATH: self.file,
                names.CODE_LINE_NUMBER: self.line,
                names.CODE_FUNCTION_NAME: self.function,
            }
        if self.template is not None and self.template_line is not None:
            found[names.DJANGO_TEMPLATE_NAME] = self.template
            found[names.DJANGO_TEMPLATE_LINE] = self.template_line
        return found


class Place(NamedTuple):
    """Where on the stack the project's line was: so many frames up, at this instruction."""

    depth: int
    code: CodeType
    instruction: int
    line: int

    def is_here(self) -> bool:
        """Whether the stack has the same line at the same depth.

        Called from where ``locate`` was called, it spares the walk, which costs most by making an
        object of every frame on its way.
        """
        try:
            frame = sys._getframe(1 + self.depth)
        except ValueError:
            return False
        return frame.f_code is self.code and (
            frame.f_lasti == self.instruction or frame.f_lineno == self.line
        )


@cache
def _library_folders() -> tuple[str, ...]:
    """The standard library and Django, wherever they are installed."""
    import asgiref
    import django

    paths = [Path(sysconfig.get_paths()[name]) for name in ("stdlib", "platstdlib")]
    paths += [Path(file).parent for file in (django.__file__, asgiref.__file__) if file]
    return tuple({f"{folder}/" for path in paths for folder in (path, path.resolve())})


def _starts_all(path: str) -> bool:
    """Whether all code runs below this file, whosever it is: ``manage.py``, ``bin/celery``."""
    return path.endswith("/manage.py") or path.startswith(_script_folders())


@cache
def _script_folders() -> tuple[str, ...]:
    """Where this environment's programs are, such as gunicorn and celery."""
    folder = Path(sysconfig.get_path("scripts"))
    return (f"{folder}/", f"{folder.resolve()}/")


class CallerFinder:
    """Knows which files are the project's: those in ``base_dir``, else those of no package."""

    def __init__(self, base_dir: Path | None) -> None:
        self._base = None if base_dir is None else str(base_dir.resolve()) + "/"
        self._files: dict[str, str | None] = {}

    def find(self) -> Caller | None:
        """The innermost line of the project's on this stack, or in the task that waits for it."""
        return self.locate()[0]

    def locate(self) -> tuple[Caller | None, Place | None]:
        """As ``find``, with the place to look at first when the same statement comes again."""
        template: tuple[str, int] | None = None
        for depth, frame in _frames(sys._getframe(1)):
            code = frame.f_code
            file = self.shown(code.co_filename)
            if file is not None:
                found = _caller(frame, file, template)
                if depth is None or template:
                    return found, None
                return found, Place(depth, code, frame.f_lasti, found.line)
            if template is None and code.co_name == "render_annotated":
                template = _template_position(frame)
        return (Caller(None, 0, "", *template) if template else None), None

    def shown(self, file: str) -> str | None:
        """How to show a file of the project's; None for one that isn't."""
        try:
            return self._files[file]
        except KeyError:
            if len(self._files) > _MAX_KNOWN_FILES:
                self._files.clear()
            shown = self._files[file] = self._judge(file)
            return shown

    def _judge(self, file: str) -> str | None:
        if file.startswith(("<", _OURS)):
            return None
        path = str(Path(file).resolve())
        if any(folder in path for folder in _PACKAGE_FOLDERS) or _starts_all(path):
            return None
        if self._base is not None and path.startswith(self._base):
            return path[len(self._base) :]
        if path.startswith((_OURS, *_library_folders())):
            return None
        return _below_import_path(path)


def _below_import_path(path: str) -> str:
    """Relative to the folder it is imported from, so that no home folder's name is told."""
    folders = [f"{Path(folder).resolve()}/" for folder in sys.path if folder]
    longest = max((folder for folder in folders if path.startswith(folder)), key=len, default="")
    return path[len(longest) :] if longest else Path(path).name


def _caller(frame: FrameType, file: str, template: tuple[str, int] | None) -> Caller:
    code = frame.f_code
    function = getattr(code, "co_qualname", code.co_name)
    return Caller(file, frame.f_lineno or 0, function, *(template or ()))


def _template_position(frame: FrameType) -> tuple[str, int] | None:
    """The template and line of the node whose ``render_annotated`` this frame is."""
    node: Any = frame.f_locals.get("self")
    template = getattr(getattr(node, "origin", None), "template_name", None)
    line = getattr(getattr(node, "token", None), "lineno", None)
    if isinstance(template, str) and isinstance(line, int):
        return template, line
    return None


def _frames(frame: FrameType | None) -> Iterator[tuple[int | None, FrameType]]:
    """This thread's frames, innermost first, with their depth.

    Under ``sync_to_async`` also those that await it; they have no depth.
    """
    depth = 0
    while frame is not None and depth < _MAX_FRAMES:
        yield depth, frame
        if frame.f_code.co_name == "thread_handler" and _is_asgiref(frame):
            for awaiting in reversed(_awaiting_frames(frame.f_locals)):
                yield None, awaiting
        frame = frame.f_back
        depth += 1


def _is_asgiref(frame: FrameType) -> bool:
    return bool(frame.f_globals.get("__name__") == "asgiref.sync")


def _awaiting_frames(handler: Mapping[str, Any]) -> list[FrameType]:
    """The frames, outermost first, of the task that awaits this thread's ``sync_to_async`` call.

    The thread and the awaiting ``SyncToAsync.__call__`` share one list by which they are matched.
    """
    loop, shared = handler.get("loop"), handler.get("task_context")
    if loop is None or shared is None:
        return []
    for task in islice(asyncio.all_tasks(loop), _MAX_TASKS):
        frames = list(_awaited(task.get_coro()))
        if any(
            frame.f_code.co_name == "__call__"
            and _is_asgiref(frame)
            and frame.f_locals.get("task_context") is shared
            for frame in frames
        ):
            return frames
    return []


def _awaited(waiting: Any) -> Iterator[FrameType]:
    """The frames of a suspended coroutine and of what it awaits, in that order."""
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if frame is not None:
            yield frame
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
