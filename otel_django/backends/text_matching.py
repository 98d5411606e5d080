"""Texts compared as the embedded store compares them, where a backend can't."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from otel_django import names
from otel_django.backends.embedded_search import words_of
from otel_django.store.span_text import MAX_WORD_CHARACTERS


def fits(wanted: str, text: str) -> bool:
    """Whether it is that text, or begins with what stands before a ``*``."""
    return text.startswith(wanted.rstrip("*")) if wanted.endswith("*") else text == wanted


def has_words(wanted: Sequence[tuple[str, bool]], found: Collection[str]) -> bool:
    """Whether all of ``words_of`` occur in texts split by ``split_words``."""
    for word, goes_on in wanted:
        plain = _folded(word)
        if plain in found:
            continue
        if not goes_on or not any(each.startswith(plain) for each in found):
            return False
    return True


def split_words(text: str) -> Iterator[str]:
    """The words of a text as the embedded store's index has them."""
    return (_folded(word) for word, _ in words_of(text.replace("*", " "))[0])


def _folded(word: str) -> str:
    """In lower case, without accents."""
    split = unicodedata.normalize("NFKD", word.lower())
    return "".join(each for each in split if not unicodedata.combining(each))


def attribute_words(attributes: Mapping[str, Any]) -> Iterator[str]:
    """Of texts and whole numbers; not of stack traces."""
    for key, value in attributes.items():
        if key != names.EXCEPTION_STACKTRACE and type(value) in (str, int):
            yield from split_words(str(value)[:MAX_WORD_CHARACTERS])
