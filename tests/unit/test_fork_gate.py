"""A fork waits for what it would cut, and never for long."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from otel_django.fork_gate import ForkGate
from otel_django.pipeline.grpc_transport import CallGate

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@contextmanager
def inside(gate: ForkGate) -> Iterator[Callable[[], None]]:
    """Another thread is inside until what is given is called, or the end."""
    entered, leave = threading.Event(), threading.Event()

    def use() -> None:
        with gate.using():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=use)
    thread.start()
    entered.wait(5)
    try:
        yield leave.set
    finally:
        leave.set()
        thread.join()


def fork(in_child: Callable[[], object]) -> int:
    """The exit code of a child that runs this: 0 unless it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, from 3.12 on
        pid = os.fork()
    if pid == 0:
        try:
            in_child()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def use(gate: ForkGate) -> None:
    with gate.using():
        pass


def test_a_fork_waits_for_who_is_inside_and_the_child_begins_with_nobody() -> None:
    gate = ForkGate(max_wait_s=10)
    with inside(gate) as leave:
        threading.Timer(0.1, leave).start()
        assert fork(lambda: use(gate)) == 0
        assert not gate._users
    use(gate)


def test_a_fork_waits_for_no_longer_than_the_limit() -> None:
    gate = ForkGate(max_wait_s=0.05)
    with inside(gate):
        assert fork(lambda: fork(lambda: use(gate))) == 0
        assert gate._users


def test_a_fork_from_inside_waits_for_nobody_and_leaves_in_both_processes() -> None:
    gate = ForkGate(max_wait_s=60)
    with gate.using():
        assert fork(lambda: fork(lambda: use(gate))) == 0

    def fork_inside() -> None:
        with gate.using():
            pid = os.fork()
        use(gate)
        if pid:
            os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    assert fork(fork_inside) == 0


def test_who_comes_during_a_fork_waits_for_its_end() -> None:
    gate = ForkGate(max_wait_s=10)
    gate.before_fork()
    gate.before_fork()  # another thread forks too
    came = threading.Event()

    def come() -> None:
        with gate.using():
            came.set()

    thread = threading.Thread(target=come)
    thread.start()
    gate.in_parent()
    assert not came.wait(0.05)
    gate.in_parent()
    assert came.wait(5)
    thread.join()


def test_a_fork_that_its_hooks_were_not_called_for_is_noticed() -> None:
    gate = ForkGate(max_wait_s=10)
    gate._users, gate._pid = [0], 0  # as if the parent's thread had been inside
    use(gate)
    assert (gate._users, gate._pid) == ([], os.getpid())


def test_a_call_that_hangs_holds_up_one_fork_only() -> None:
    gate = CallGate()
    with inside(gate):
        began_s = time.monotonic()
        for _ in range(20):
            assert fork(lambda: None) == 0
        assert time.monotonic() - began_s < 20 * gate.max_wait_s / 2
