"""A process that is observed takes signals as one that isn't."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from tests.server_process import ROOT


def test_a_signal_that_the_main_thread_blocks_waits_although_our_thread_is_there() -> None:
    program = """
        import os, signal, threading, time
        from otel_django import own_thread

        began, ends = threading.Event(), threading.Event()
        own_thread.start(lambda: (began.set(), ends.wait()), "ours")
        began.wait()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        print("not interrupted", flush=True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        time.sleep(5)
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("not interrupted\n", -15), done.stderr
