"""What is known of a variable: its names, the field it fills, how it is read, what it means.

Adding a variable takes one entry in a table and one field in ``Settings`` (or in one of its
groups), which holds the default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from otel_django.conf.parsers import Parser


PREFIX: Final = "OTEL_DJANGO_"

Signal = Literal["all", "traces", "metrics", "logs"]


class Variable(NamedTuple):
    """One variable.

    ``names`` in order of precedence: the first that is set counts. ``field`` is the field of
    ``Settings``, dotted for a group ("otlp_traces.headers"). ``default`` is the default as it would
    be written, or, in brackets, in words. ``signal`` is what it acts on.
    """

    names: tuple[str, ...]
    field: str
    parser: Parser
    default: str
    doc: str
    section: str
    signal: Signal = "all"

    @property
    def name(self) -> str:
        """The name to speak of it by; no two variables have the same."""
        return self.names[0]

    @property
    def default_in_words(self) -> str:
        """The default as part of a sentence."""
        if self.default.startswith("("):
            return self.default[1:-1]
        return self.default or "nothing"


def settings_key(name: str) -> str:
    """A variable's key in ``settings.OTEL_DJANGO``: ours lose their prefix."""
    return name.removeprefix(PREFIX)
