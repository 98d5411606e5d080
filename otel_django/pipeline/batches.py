"""From batches of items to encoded requests of a size that receivers take."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from otel_django.guard import LOGGER_NAME
from otel_django.pipeline.otlp_split import Chunk, split
from otel_django.pipeline.spool_format import MAX_PAYLOAD

if TYPE_CHECKING:
    from otel_django.pipeline.drops import Drops

_logger = logging.getLogger(LOGGER_NAME)


class Batches:
    """Encodes; any thread may call. ``encode`` makes an export request of what it is given,
    ``count`` says how many items that is.
    """

    def __init__(
        self,
        encode: Callable[[Sequence[Any]], bytes],
        drops: Drops,
        signal: str,
        max_items: int,
        count: Callable[[Sequence[Any]], int] = len,
    ) -> None:
        self._encode = encode
        self._count = count
        self._drops = drops
        self._signal = signal
        self._max_items = max_items
        self._said_failure = False

    def chunks(self, batch: Sequence[Any], max_bytes: int) -> list[Chunk]:
        """Requests within the limits on items and bytes; a single item may be larger than that.

        What can't be encoded is counted as ``encode_error``; a single item over the
        specification's 64 MiB as ``rejected``.
        """
        chunks: list[Chunk] = []
        for start in range(0, len(batch), self._max_items):
            encoded = self._encoded(batch[start : start + self._max_items])
            for chunk in parts(encoded, max_bytes):
                if len(chunk.body) > MAX_PAYLOAD:
                    self._drops.add(self._signal, "rejected", chunk.items)
                elif chunk.items:
                    chunks.append(chunk)
        return chunks

    def _encoded(self, items: Sequence[Any]) -> Chunk:
        """One bad item mustn't cost the others: then each is encoded alone."""
        try:
            return Chunk(self._encode(items), self._count(items))
        except Exception:
            encoded = [(item, self._encoded_alone(item)) for item in items]
            bodies = [body for _, body in encoded if body is not None]
            kept = [item for item, body in encoded if body is not None]
            # Requests are joined by joining their bytes: their one field is repeated.
            return Chunk(b"".join(bodies), self._count(kept))

    def _encoded_alone(self, item: Any) -> bytes | None:
        try:
            return self._encode([item])
        except Exception as error:
            self._drops.add(self._signal, "encode_error", self._count([item]))
            if not self._said_failure:
                self._said_failure = True
                _logger.warning("An item of %s can't be encoded: %r", self._signal, error)
            return None


def parts(chunk: Chunk, max_bytes: int) -> list[Chunk]:
    """``split``, or the chunk as it is where it can't be split."""
    try:
        return split(chunk, max_bytes)
    except ValueError:
        return [chunk]
