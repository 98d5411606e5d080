"""Servers on loopback that misbehave, and a proxy that makes a real one do so.

    with hanging() as server:                # accepts, reads, never answers
        ... ask 127.0.0.1:server.port
    with slow(b"+OK\\r\\n", delay_s=1.0) as server:     # this to whatever is asked, late
    with slow(answer, byte_every_s=0.1) as server:    # a byte at a time
    port = closed_port()                     # nobody listens
    with proxy(postgres.port) as server:     # passes everything on
        server.delay(1.0)                    # each answer comes so much later
        server.hang()                        # nothing passes, until
        server.pass_on()                     # what was held goes on, too
        server.cut()                         # connections are reset, new ones as well
        server.gone()                        # and nobody listens any more

All of them count ``connections`` (accepted so far), ``open`` ones, and ``requests``: how often a
client has said something after it was answered (so a TLS handshake counts, too). Each lives on one
thread, whatever the number of connections, and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeVar

from typing_extensions import Self

from tests.stub_collector_process import free_port

_T = TypeVar("_T")
_PIECE = 1 << 16
_RESET = struct.pack("ii", 1, 0)
_LINGER_S = 1.0
"""How long the other end may go on once the client is gone."""


class Misbehaving:
    """A listener with a thread of its own; see the module's docstring."""

    def __init__(self) -> None:
        self.port = free_port()
        self.connections = 0
        self.requests = 0
        self._listener: socket.socket | None = None
        self._served: dict[asyncio.Task[None], socket.socket] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="misbehaving")
        self._thread.start()
        try:
            self._call(self._listen())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def open(self) -> int:
        """How many connections there are now."""
        return len(self._served)

    def wait_until(self, wanted: Callable[[Misbehaving], bool], timeout_s: float = 5.0) -> None:
        """Until ``wanted`` of it holds: the other end of what a client does is a moment late."""
        deadline_s = time.monotonic() + timeout_s
        while not wanted(self):
            if time.monotonic() > deadline_s:
                raise TimeoutError(
                    f"{self.connections} connections, {self.open} open, {self.requests} requests"
                )
            time.sleep(0.01)

    def gone(self) -> None:
        """Stop listening and reset what is open."""
        self._call(self._stop())

    def close(self) -> None:
        """The end of it."""
        self.gone()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _call(self, doing: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(10)

    # --- on the loop

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=1000)
            self._listener.setblocking(False)
            self._loop.add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            self.connections += 1
            self._served[self._loop.create_task(self._talk(connection))] = connection

    async def _stop(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        await self._reset()

    async def _reset(self) -> None:
        served = dict(self._served)
        for task, connection in served.items():
            with contextlib.suppress(OSError):  # closed meanwhile
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            task.cancel()
        if served:
            await asyncio.wait(served)
        await asyncio.sleep(0)  # transports close in the loop's next round
        for task, connection in served.items():
            self._served.pop(task, None)
            connection.close()  # of a task that had not begun

    async def _talk(self, connection: socket.socket) -> None:
        task = asyncio.current_task()
        assert task is not None
        writer = None
        try:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(sock=connection)
                await self.serve(reader, writer)
        except asyncio.CancelledError:
            if writer is not None:
                writer.transport.abort()
        finally:
            self._served.pop(task, None)
            if writer is not None:
                writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until the client is gone."""
        raise NotImplementedError


class Slow(Misbehaving):
    """Answers the same each time it is told something."""

    def __init__(self, answer: bytes, delay_s: float, byte_every_s: float) -> None:
        self._answer = answer
        self._delay_s = delay_s
        self._byte_every_s = byte_every_s
        super().__init__()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering = None
        try:
            while await reader.read(_PIECE):
                if answering is None or answering.done():
                    self.requests += 1
                    answering = asyncio.create_task(self._give(writer))
        finally:
            if answering is not None:
                answering.cancel()

    async def _give(self, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self._delay_s)
        if not self._byte_every_s:
            writer.write(self._answer)
            return
        for byte in self._answer:
            writer.write(bytes((byte,)))
            await asyncio.sleep(self._byte_every_s)


class Proxy(Misbehaving):
    """In front of a real server, or of none: then it hangs."""

    def __init__(self, port: int | None, host: str = "127.0.0.1") -> None:
        self._target = (host, port)
        self._mode: Literal["pass", "hang", "cut"] = "hang" if port is None else "pass"
        self._delay_s = 0.0
        self._changed = asyncio.Event()
        super().__init__()

    def pass_on(self) -> None:
        """Behave (again)."""
        self._call(self._set("pass"))

    def delay(self, delay_s: float) -> None:
        """From now on each answer begins so much later."""
        self._call(self._set("pass", delay_s))

    def hang(self) -> None:
        """Accept and read, and pass nothing on, in either direction."""
        self._call(self._set("hang"))

    def cut(self) -> None:
        """Reset what is open, and what comes."""
        self._call(self._set("cut"))

    # --- on the loop

    async def _set(self, mode: Literal["pass", "hang", "cut"], delay_s: float = 0.0) -> None:
        self._mode, self._delay_s = mode, delay_s
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        if mode == "cut":
            await self._reset()
        await self._listen()

    async def _may_pass(self) -> None:
        while self._mode == "hang":
            await self._changed.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode == "cut":
            writer.transport.abort()
            return
        talk = _Talk(self, writer)
        passing = asyncio.create_task(talk.pass_on(*self._target))
        try:
            while data := await reader.read(_PIECE):
                if talk.answered:
                    talk.answered = False
                    self.requests += 1
                talk.asked.put_nowait(data)
            talk.asked.put_nowait(b"")
            await asyncio.wait([passing], timeout=0 if self._mode == "hang" else _LINGER_S)
        finally:
            passing.cancel()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await passing


class _Talk:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter) -> None:
        self.asked: asyncio.Queue[bytes] = asyncio.Queue()
        self.answered = True
        self._proxy = proxy
        self._client = client

    async def pass_on(self, host: str, port: int | None) -> None:
        await self._proxy._may_pass()
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError:
            self._client.transport.abort()
            return
        back = asyncio.create_task(self._answers(reader))
        try:
            while data := await self.asked.get():
                await self._proxy._may_pass()
                writer.write(data)
            writer.write_eof()
            await back
        finally:
            back.cancel()
            writer.transport.abort()

    async def _answers(self, reader: asyncio.StreamReader) -> None:
        late = False  # a greeting is late, too
        with contextlib.suppress(OSError):
            while data := await reader.read(_PIECE):
                if not (late and self.answered):
                    await asyncio.sleep(self._proxy._delay_s)
                    late = True
                await self._proxy._may_pass()
                self.answered = True
                self._client.write(data)
        self._client.close()


def hanging() -> Proxy:
    """Accepts and never answers."""
    return Proxy(None)


def slow(answer: bytes, delay_s: float = 0.0, *, byte_every_s: float = 0.0) -> Slow:
    """Answers whatever it is asked with ``answer``, late or byte by byte."""
    return Slow(answer, delay_s, byte_every_s)


def proxy(port: int, host: str = "127.0.0.1") -> Proxy:
    """Passes on to the server there, until told otherwise."""
    return Proxy(port, host)


def closed_port() -> int:
    """Where nobody listens."""
    return free_port()
