"""A request of OTLP/HTTP: taken in, or refused with what the specification says."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from otel_django import guard
from otel_django.receiver import bodies
from otel_django.receiver.answers import JSON, PROTOBUF, Answer, Refused, accepted
from otel_django.receiver.decoded import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import BufferedReader

    from otel_django.receiver.decoded import Signal
    from otel_django.receiver.door import Door
    from otel_django.receiver.limits import Limits
    from otel_django.receiver.writing import Writing

SIGNALS: Final[Mapping[str, Signal]] = {
    "/v1/traces": "traces",
    "/v1/metrics": "metrics",
    "/v1/logs": "logs",
}
"""Path → signal."""
_LOST: Final = "the store can't hold some of it, the receiver's log says why"


class Intake:
    """Takes what ``door`` lets in to ``writing``."""

    def __init__(self, door: Door, writing: Writing, limits: Limits) -> None:
        self._door = door
        self._writing = writing
        self._limits = limits
        self._room = bodies.Room(limits.bodies_bytes)

    def answer(self, environ: Mapping[str, str], stream: BufferedReader) -> Answer:
        """The answer to a request; where it is a refusal its body may not have been read.

        Raises:
            OSError: the connection broke, or the time was up.
        """
        content_type = _content_type(environ)
        try:
            signal = self._signal(environ)
            self._door.check_sender(environ)
            encoding = _encoding(environ)
            if content_type not in {JSON, PROTOBUF}:
                text = f"OTLP is sent as {PROTOBUF} or {JSON}."
                raise Refused(415, text, Accept=f"{PROTOBUF}, {JSON}")
            rejected, message = self._take(signal, content_type, encoding, environ, stream)
            return accepted(signal, content_type, rejected, message)
        except Refused as refused:
            return refused.answer(content_type)
        except DecodeError as error:
            return Refused(400, str(error)).answer(content_type)
        except OSError:
            raise
        except Exception:
            guard.caught("receiver.intake")
            return Refused(500, "It could not be read; the receiver's log says more.").answer(
                content_type
            )

    def _signal(self, environ: Mapping[str, str]) -> Signal:
        signal = SIGNALS.get(environ["PATH_INFO"])
        if signal is None:
            raise Refused(404, f"OTLP is received at {', '.join(SIGNALS)}.")
        if environ["REQUEST_METHOD"] != "POST":
            raise Refused(405, "OTLP is sent by POST.", Allow="POST")
        return signal

    def _take(
        self,
        signal: Signal,
        content_type: str,
        encoding: str,
        environ: Mapping[str, str],
        stream: BufferedReader,
    ) -> tuple[int, str]:
        """How many items were rejected, and why."""
        from otel_django.receiver.decoding import decode

        length = bodies.declared(environ, self._limits.body_bytes)
        with self._received(stream, length) as body, self._writing.turn():
            content = bodies.unpacked(body, encoding, self._limits.decompressed_bytes)
            decoded = decode(signal, content_type, content)
            lost = self._writing.write(decoded)
        texts = (decoded.message, _LOST if lost else "")
        return decoded.rejected + lost, "; ".join(filter(None, texts))

    @contextmanager
    def _received(self, stream: BufferedReader, length: int | None) -> Iterator[bytes]:
        """The body; the room it takes is free again when it is done with."""
        taken = 0
        try:
            found = bytearray()
            for part in bodies.parts(stream, length, self._limits.body_bytes):
                self._room.take(len(part))
                taken += len(part)
                found += part  # not kept apart: small chunks are much larger than what they hold
            body = bytes(found)
            found.clear()
            yield body
        finally:
            self._room.give_back(taken)


def _content_type(environ: Mapping[str, str]) -> str:
    return environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()


def _encoding(environ: Mapping[str, str]) -> str:
    encoding = environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() or "identity"
    if encoding not in bodies.ENCODINGS:
        raise Refused(415, f"Content-Encoding can be {', '.join(bodies.ENCODINGS)}.")
    return encoding
