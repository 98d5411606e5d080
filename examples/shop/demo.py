"""The demonstration: the shop with its worker, visitors, and the traces as they happen.

`make demo` runs it. From the environment: PORT (8000), DEMO_DIR (.demo under the project),
DEMO_SECONDS (until Ctrl-C), DEMO_TRAFFIC (0 for no visitors).
"""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

SHOP = Path(__file__).resolve().parent
PROJECT = SHOP.parent.parent
HOST = "127.0.0.1"
START_WITHIN_S = 60.0
LAST_TRACES_S = 1.0
STOP_WITHIN_S = 15.0  # a worker takes five to end, and more for a long task
LOGGED = ("server", "worker", "beat", "monitoring")
# While Python starts, SIGINT prints a traceback and SIGTERM nothing.
SILENTLY = {"preparation": signal.SIGTERM, "visitors": signal.SIGTERM}
# What makes the tables is nothing to look for: a migration repeats its statements.
UNSEEN = {"preparation": {"OTEL_DJANGO_ENABLED": "false"}}
GIVERS = ("preparation", "visitors", "monitoring", "beat")
CELERY = ("-m", "celery", "-A", "shop")
# One worker has nobody to greet: it is ready a second sooner.
WORKER = ("worker", "--hostname", "worker@shop", "--concurrency", "2", "--loglevel", "INFO")
ALONE = ("--without-mingle", "--without-gossip")


class DemoFailed(Exception):
    """Says what went wrong and what to do, in one or two lines."""


@dataclass(frozen=True)
class Options:
    port: int
    data_dir: Path
    seconds: float | None
    traffic: bool

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @classmethod
    def read(cls, environ: dict[str, str]) -> "Options":
        try:
            port = int(environ.get("PORT") or 8000)
            seconds = float(environ["DEMO_SECONDS"]) if environ.get("DEMO_SECONDS") else None
        except ValueError as error:
            raise DemoFailed(f"PORT and DEMO_SECONDS are numbers: {error}.") from None
        data_dir = Path(environ.get("DEMO_DIR") or PROJECT / ".demo").resolve()
        return cls(port, data_dir, seconds, environ.get("DEMO_TRAFFIC", "1") != "0")


class Demo:
    """Starts the processes, watches them, and ends them in order."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.ended = threading.Event()
        self.parent = os.getppid()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.password = secrets.token_urlsafe(9)
        self.environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "DEMO_DIR": str(options.data_dir),
            "DEMO_PASSWORD": self.password,
            "DEMO_CUSTOMER_PASSWORD": secrets.token_urlsafe(9),
            "SHOP_STOCK_SERVICE_URL": options.url,
            "PYTHONPATH": os.pathsep.join(self.import_path()),
            "PYTHONUNBUFFERED": "1",
        }

    def log_of(self, name: str) -> Path:
        return self.options.data_dir / f"{name}.log"

    def import_path(self) -> list[str]:
        """The project's own code first, installed or not."""
        return [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]

    def run(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.end)
        refuse_taken_port(self.options.port)
        self.options.data_dir.mkdir(parents=True, exist_ok=True)
        try:
            self.prepare()
            self.serve()
            self.watch()
            if self.running:
                say("Ending: the worker finishes what it has begun, in some five seconds.")
        finally:
            self.stop()

    def end(self, signum: int, frame: FrameType | None) -> None:
        self.ended.set()

    def prepare(self) -> None:
        say("Getting the shop ready …")
        self.start("preparation", "manage.py", "prepare_demo")
        while (code := self.running["preparation"].poll()) is None:
            if self.ended.wait(0.05):
                return
        del self.running["preparation"]
        if code != 0:
            raise DemoFailed("The shop could not be made ready: see above.")

    def serve(self) -> None:
        if self.ended.is_set():
            return
        address = f"{HOST}:{self.options.port}"
        self.start("server", "manage.py", "runserver", "--noreload", address)
        self.wait_for_server()
        if self.ended.is_set():
            return
        say(self.welcome())
        self.start("worker", *CELERY, *WORKER, *ALONE)
        self.start("traces", "manage.py", "otel", "tail")
        self.start("beat", *CELERY, "beat")
        self.start("monitoring", "manage.py", "run_monitoring")
        if self.options.traffic:
            self.start("visitors", "traffic.py", self.options.url)

    def wait_for_server(self) -> None:
        give_up_at = time.monotonic() + START_WITHIN_S
        while not self.ended.wait(0.1):
            self.check_processes()
            with (
                contextlib.suppress(OSError),
                socket.create_connection((HOST, self.options.port), 1),
            ):
                return
            if time.monotonic() > give_up_at:
                raise DemoFailed(f"The server did not start in {START_WITHIN_S:.0f} s.")

    def watch(self) -> None:
        seconds = self.options.seconds
        end_at = None if seconds is None else time.monotonic() + seconds
        while not self.ended.wait(0.2):
            self.check_processes()
            if end_at is not None and time.monotonic() >= end_at:
                return
            if os.getppid() != self.parent:
                return

    def check_processes(self) -> None:
        for name, process in self.running.items():
            if process.poll() is not None:
                tail = last_lines(self.log_of(name)) if name in LOGGED else ""
                raise DemoFailed(
                    f"The {name} ended with code {process.returncode}.\n{tail}".strip()
                )

    def stop(self) -> None:
        """Those who give work before those who do it and send what they hold; the traces last."""
        for name in (*GIVERS, "server", "worker", "traces"):
            process = self.running.pop(name, None)
            if process is None:
                continue
            if name == "traces":
                time.sleep(LAST_TRACES_S)
            end_process(process, SILENTLY.get(name, signal.SIGINT))

    def start(self, name: str, *arguments: str) -> None:
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(self.log_of(name).open("wb")) if name in LOGGED else None
            # A session of its own: Ctrl-C reaches this process only, which ends them in order.
            self.running[name] = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=SHOP,
                env=self.environment | UNSEEN.get(name, {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT if log else None,
                start_new_session=True,
            )

    def welcome(self) -> str:
        until = "Ctrl-C ends it" if self.options.seconds is None else "it ends by itself"
        return (
            f"\n  The shop    {self.options.url}/\n"
            f"  Its admin   {self.options.url}/admin/   user demo, password {self.password}\n"
            f"  Its traces  {self.options.url}/monitoring/   with logs, metrics and errors\n"
            f"  Its metrics {self.options.url}/metrics\n"
            f"  Its data    {self.options.data_dir}\n"
            f"  Its alerts  {self.options.url}/monitoring/alerts/   evaluated every 15 s\n"
            f"  Its logs    server.log, worker.log, beat.log and monitoring.log, there\n\n"
            f"Traces of its requests and tasks follow, with what they log; {until}.\n"
        )


@contextlib.contextmanager
def own_ctrl_c() -> Iterator[None]:
    """Take the terminal's Ctrl-C from `make`, which would report a failure for it.

    What a shell does for each of its jobs: a process group of its own, in the foreground.
    """
    group = os.getpgrp()
    if not sys.stdin.isatty() or group == os.getpid() or os.tcgetpgrp(0) != group:
        yield
        return
    for number in (signal.SIGTTOU, signal.SIGTSTP):  # with no shell to resume it, never stopped
        signal.signal(number, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(0, group)


def refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise DemoFailed(
                f"Port {port} of {HOST} can't be used ({error}).\n"
                f"Choose another: PORT={port % 60000 + 1} make demo"
            ) from None


def end_process(process: subprocess.Popen[bytes], first: signal.Signals) -> None:
    """``first``; SIGTERM for one that doesn't heed it, and SIGKILL for what is left of it."""
    for signum in (first, signal.SIGTERM):
        process.send_signal(signum)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_WITHIN_S)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # such as the children of a worker that was killed
    process.wait(STOP_WITHIN_S)


def last_lines(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else ""


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    try:
        demo = Demo(Options.read(dict(os.environ)))
        with own_ctrl_c():
            demo.run()
    except DemoFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
