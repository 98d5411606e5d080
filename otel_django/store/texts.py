"""The texts a slice has once: their ids, and which ones it still lacks."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from otel_django.store.json_text import dumps

MAX_CACHED: Final = 20_000
MAX_CACHED_CHARACTERS: Final = 4_096


class Texts:
    """One packer's view of ``text_7``. ``id`` gives a text's id and notes it, if it is new."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._stored: set[int] = set()
        self._new: dict[int, str] = {}

    def new_slice(self) -> None:
        """The texts have to be written again."""
        self._stored.clear()
        self._new.clear()

    def begin(self) -> None:
        """The next batch; what is forgotten, to keep memory bounded, is found out again."""
        self._new.clear()
        if len(self._ids) > MAX_CACHED:
            self._ids.clear()
        if len(self._stored) > MAX_CACHED:
            self._stored.clear()

    def id(self, text: str) -> int:
        """The id of a text, which is written with this batch if the slice may lack it."""
        number = self._ids.get(text)
        if number is None:
            number = text_id(text)
            if len(text) <= MAX_CACHED_CHARACTERS:
                self._ids[text] = number
        if number not in self._stored:
            self._new[number] = text
        return number

    def has(self, number: int | None) -> bool:
        """Whether the slice has it for sure."""
        return number in self._stored

    def rows(self) -> str:
        """What the batch adds, as JSON."""
        return dumps(list(self._new.items()))

    def written(self) -> None:
        """The batch is in the store."""
        self._stored.update(self._new)
        self._new.clear()


def text_id(text: str) -> int:
    """The dictionary's key of a text: 48 bits of its hash, the same in every process."""
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=6).digest(), "big")
