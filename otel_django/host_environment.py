"""Facts about the process and its host that aren't settings: what runs it, and where.

Beside ``conf`` the only reader of the environment; it reads no option of anybody's.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Literal, NamedTuple

Kind = Literal["server", "command", "reloader", "test"]
Role = Literal["web", "worker", "beat", "command", "other"]

SERVER_COMMANDS = frozenset(
    [
        # web servers
        "runserver",
        "runserver_plus",
        "runsslserver",
        "testserver",
        "runmodwsgi",
        "runuwsgi",
        "grpcrunserver",
        "grpcrunaioserver",
        # workers and schedulers
        "chancy worker",
        "db_worker",
        "djangohuey",
        "listen",
        "process_tasks",
        "procrastinate worker",
        "qcluster",
        "rqcron",
        "rqpool",
        "rqscheduler",
        "rqtasksworker",
        "rqworker",
        "rqworker-pool",
        "run_djangohuey",
        "run_huey",
        "runapscheduler",
        "rundramatiq",
        "runmailer",
        "runmailer_pg",
        "runworker",
        "scheduler_worker",
        "worker",
        # ours
        "run_monitoring",
    ]
)
"""Management commands that go on until they are stopped and do one piece of work after the other.

By name, with the subcommand where only that one does.
"""

_ROLES: dict[str, Role] = {
    **dict.fromkeys(
        (
            *("runserver", "runserver_plus", "runsslserver", "testserver", "runmodwsgi"),
            *("runuwsgi", "grpcrunserver", "grpcrunaioserver"),
        ),
        "web",
    ),
    "run_monitoring": "other",
}
"""Of management commands that go on; all others work off tasks."""
_WEB_PROGRAMS = frozenset(
    {"gunicorn", "uvicorn", "daphne", "hypercorn", "granian", "waitress-serve", "uwsgi"}
)
_WEB_MODULES = frozenset({"uwsgi", "mod_wsgi", "gunicorn.arbiter", "uvicorn.server"})
_CELERY_SERVERS = frozenset({"worker", "beat"})
_CELERY_FLAGS = frozenset({"-C", "--no-color", "-q", "--quiet", "--skip-checks", "--version"})
_TEST_RUNNERS = frozenset({"pytest", "py.test", "nosetests", "tox"})
_TEST_MARKS = ("PYTEST_VERSION", "PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER")
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Process(NamedTuple):
    """What kind of process this is; ``command`` is the management command, if it is one."""

    kind: Kind
    command: str | None = None


def current_process() -> Process:
    """Judge by the running management command, else by who was started.

    A server, a worker, or a script that sets Django up is a "server". Programs that do one thing
    and end are a "command": those of ``manage.py``, and Celery's but for ``worker`` and ``beat``.
    """
    if _under_pytest():
        return Process("test")
    argv = _management_argv()
    if argv is None:
        return Process(_kind_of_program())
    command = argv[1] if len(argv) > 1 else "help"
    if command == "test":
        return Process("test", command)
    if SERVER_COMMANDS.isdisjoint((command, " ".join(argv[1:3]))):
        return Process("command", command)
    reloads = command in {"runserver", "runserver_plus"} and "--noreload" not in argv
    if reloads and not (os.environ.get("RUN_MAIN") or os.environ.get("WERKZEUG_RUN_MAIN")):
        return Process("reloader", command)
    return Process("server", command)


def role(process: Process) -> Role:
    """What this process does for its service."""
    if process.kind == "command":
        return "command"
    if process.command is not None:
        return _ROLES.get(process.command, "worker")
    program = Path(sys.argv[0] if sys.argv else "")
    name = program.parent.name if program.name == "__main__.py" else program.stem
    if name == "celery":
        return "beat" if _celery_subcommand(sys.argv[1:]) == "beat" else "worker"
    in_server = not _WEB_MODULES.isdisjoint(sys.modules)
    return "web" if name in _WEB_PROGRAMS or in_server else "other"


def _kind_of_program() -> Kind:
    program = sys.argv[0] if sys.argv else ""
    if program.endswith(("-m unittest", "unittest/__main__.py")):
        return "test"
    if Path(program).stem == "celery" or program.endswith("celery/__main__.py"):
        return "server" if _celery_subcommand(sys.argv[1:]) in _CELERY_SERVERS else "command"
    return "server"


def _celery_subcommand(arguments: list[str]) -> str | None:
    """The first word that is neither an option of the program itself nor the value of one."""
    waiting = iter(arguments)
    for word in waiting:
        if not word.startswith("-"):
            return word
        joined = "=" in word or (not word.startswith("--") and len(word) > 2)
        if not joined and word not in _CELERY_FLAGS:
            next(waiting, None)
    return None


def _under_pytest() -> bool:
    """pytest runs in this process; a server that a test started only inherits its variables."""
    if "_pytest" not in sys.modules:
        return False
    started = Path(sys.argv[0]) if sys.argv else Path()
    return (
        started.name in _TEST_RUNNERS
        or started.parent.name in _TEST_RUNNERS
        or any(mark in os.environ for mark in _TEST_MARKS)
    )


def _management_argv() -> list[str] | None:
    """The arguments of the management utility that is setting Django up, however it was started."""
    management = sys.modules.get("django.core.management")
    if management is None:
        return None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "execute":
            utility = frame.f_locals.get("self")
            if isinstance(utility, management.ManagementUtility):
                return list(utility.argv)
        frame = frame.f_back
    return None


def proxy_variables() -> dict[str, str]:
    """The environment's variables that name HTTP proxies, and ``REQUEST_METHOD`` (CGI)."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.lower().endswith("_proxy") or name == "REQUEST_METHOD"
    }


def quieten_grpc() -> None:
    """What gRPC can't do is told by its errors: without lines of its own on the standard error."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def notify_socket() -> str:
    """Where systemd wants to be told of a service that it started; empty: nowhere."""
    return os.environ.get("NOTIFY_SOCKET", "")


def watchdog_s() -> float | None:
    """Within how long systemd wants to hear of this process again; None: it doesn't watch."""
    watched, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not watched.isdigit() or pid not in ("", str(os.getpid())):
        return None
    return int(watched) / 1e6


def host_name() -> str:
    """The machine's or container's name."""
    return socket.gethostname()


def runtime_attributes() -> dict[str, str]:
    """``process.runtime.*``."""
    return {
        "process.runtime.name": sys.implementation.name,
        "process.runtime.version": platform.python_version(),
        "process.runtime.description": sys.version.replace("\n", " "),
    }


def command_name() -> str:
    """The program's file name, without folder and arguments."""
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] else sys.implementation.name


def container_attributes() -> dict[str, str]:
    """``container.id`` and ``k8s.*`` where the process runs in a container or pod."""
    found: dict[str, str] = {}
    container = _container_id()
    if container:
        found["container.id"] = container
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        found["k8s.pod.name"] = os.environ.get("POD_NAME") or os.environ.get("HOSTNAME", "")
        namespace = os.environ.get("POD_NAMESPACE") or _read(_SERVICE_ACCOUNT)
        if namespace:
            found["k8s.namespace.name"] = namespace.strip()
    return {key: value for key, value in found.items() if value}


def boot_id() -> str:
    """Another one after each start of the machine, 8 digits."""
    found = _read(Path("/proc/sys/kernel/random/boot_id")).replace("-", "").strip()
    return found[:8] or f"{int(boot_time_s()):08x}"


def boot_time_s() -> float:
    """When the machine was started, in seconds since the epoch."""
    import psutil

    started: float = psutil.boot_time()
    return started


def process_start() -> str:
    """Tells this process from others that have, or had, the same id."""
    fields = _read(Path("/proc/self/stat")).rpartition(")")[2].split()
    if len(fields) > 19:
        return fields[19]
    import psutil

    return str(int(psutil.Process().create_time() * 1000))


def temporary_folder() -> Path:
    """The system's folder for files that need not last."""
    return Path(tempfile.gettempdir())


def _container_id() -> str | None:
    """From the control group (v1) or the mounts (v2): 64 hexadecimal digits."""
    for path, marker in (("/proc/self/cgroup", "/"), ("/proc/self/mountinfo", "/containers/")):
        for line in _read(Path(path)).splitlines():
            if marker not in line:
                continue
            for part in line.replace(".scope", "").replace("-", "/").split("/"):
                if len(part) == 64 and all(digit in "0123456789abcdef" for digit in part):
                    return part
    return None


def has_greenlets() -> bool:
    """Whether what looks like threads shares one of the system's: gevent's or eventlet's."""
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    return bool(
        (gevent is not None and gevent.is_module_patched("threading"))
        or (eventlet is not None and eventlet.is_monkey_patched("thread"))
    )


def git_revision(folder: Path) -> str | None:
    """The checked-out revision of the project in ``folder``, 12 digits; git itself isn't run."""
    git = folder / ".git"
    head = _read(git / "HEAD").strip()
    if head.startswith("ref: "):
        reference = head[5:]
        head = _read(git / reference).strip() or _packed(git, reference)
    return head[:12] if len(head) >= 40 else None


def _packed(git: Path, reference: str) -> str:
    for line in _read(git / "packed-refs").splitlines():
        if line.endswith(f" {reference}"):
            return line.partition(" ")[0]
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
