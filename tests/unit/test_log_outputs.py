"""Where lines go: the standard error and the log file, under signals, forks and full pipes."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from otel_django.logs.file import LogFile
from otel_django.logs.rotation import rotation_from
from otel_django.logs.stream import Stream

Write = Callable[[bytes], None]


@contextlib.contextmanager
def read_pipe() -> Iterator[tuple[int, list[bytes]]]:
    """A pipe's end to write to, and what was read from the other when the block has ended."""
    reader, writer = os.pipe()
    found: list[bytes] = []

    def read() -> None:
        while part := os.read(reader, 1 << 16):
            found.append(part)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield writer, found
    finally:
        os.close(writer)
        thread.join()
        os.close(reader)


@contextlib.contextmanager
def interrupted(handler: Callable[[], None], every_s: float) -> Iterator[None]:
    """A signal comes again and again, while the process works."""

    def handle(number: int, frame: FrameType | None) -> None:
        handler()

    before = signal.signal(signal.SIGVTALRM, handle)
    signal.setitimer(signal.ITIMER_VIRTUAL, every_s, every_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def written_under_signals(write: Write) -> int:
    """Lines that were written, also in the middle of one another."""
    handled = 0

    def handler() -> None:
        nonlocal handled
        handled += 1
        write(b'{"event":"a signal"}\n')

    number, ends_s = 0, time.monotonic() + 30
    with interrupted(handler, 0.0002):
        while handled < 100 and time.monotonic() < ends_s:
            write(b'{"event":"usual"}\n')
            number += 1
    assert handled >= 100
    return number + handled


def test_a_signals_handler_may_write_to_a_stream_in_the_middle_of_a_line() -> None:
    with read_pipe() as (writer, found):
        stream = Stream(writer)
        expected = written_under_signals(stream.write)
    assert stream.lost == 0
    assert b"".join(found).count(b"}\n") == expected


def test_a_signals_handler_may_write_to_a_file_in_the_middle_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "site.log"
    file = LogFile(path, rotation_from("100MB"), 3)
    expected = written_under_signals(file.write)
    file.close()
    assert file.lost == 0
    assert path.read_bytes().count(b"}\n") == expected


def test_a_full_pipe_is_waited_for_once_and_lines_after_it_are_whole_again() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    stream = Stream(writer)
    large = b"x" * 40_000 + b"\n"
    began_s = time.monotonic()
    for _ in range(40):
        stream.write(large)
    assert stream.lost == 39  # a pipe holds 64 KiB: one line, and a part of the next
    assert time.monotonic() - began_s < 20  # not one second each
    os.set_blocking(reader, False)
    found = bytearray()
    with contextlib.suppress(BlockingIOError):
        while True:
            found += os.read(reader, 1 << 16)
    stream.write(b"afterwards\n")
    found += os.read(reader, 1 << 16)
    os.close(reader)
    os.close(writer)
    assert found.splitlines()[0] + b"\n" == large
    assert found.splitlines()[-1] == b"afterwards"


def test_a_pipe_that_nobody_reads_any_more_loses_lines_and_raises_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = Stream(writer)
    stream.write(b"a line\n")
    os.close(writer)
    stream.write(b"another\n")
    assert stream.lost == 2


def test_a_child_writes_though_another_thread_of_its_parent_was_at_it() -> None:
    reader, writer = os.pipe()
    stream = Stream(writer)
    line = b"x" * 200_000
    filling = threading.Thread(target=stream.write, args=(line,))
    filling.start()
    read = len(os.read(reader, 1))  # it has begun, and the pipe is too small for it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # to fork with threads is the point
        child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        stream.after_fork()
        stream.write(b"")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    while read < len(line):
        read += len(os.read(reader, 1 << 16))
    filling.join()
    os.close(reader)
    os.close(writer)
