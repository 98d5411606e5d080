"""One request for a page: who asks for what, as its address says."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from otel_django.errors import OtelDjangoError
from otel_django.viewer import ranges
from otel_django.viewer.parts import Parts
from otel_django.viewer.paths import path_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest

    from otel_django.conf import Settings
    from otel_django.viewer.ranges import TimeRange
    from otel_django.viewer.readers import Readers


class Missing(OtelDjangoError):
    """What the address names isn't kept (any more): the page says so with this text, as a 404."""


class NotDone(OtelDjangoError):
    """What a form asks for can't be done, or not by this one; the page says why.

    With ``shown`` it is the page of the form, with what was typed; else one that says only that.
    """

    def __init__(
        self, why: str, status: int = 400, *, shown: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(why)
        self.status = status
        self.shown = shown


class NothingKept(OtelDjangoError):
    """No store and no backend to read from: the page says how to have one."""


@dataclass(frozen=True)
class Visit:
    """``base`` is the path below which the pages are, with a slash at its end (``/monitoring/``).

    The range and the service are in every page's address, and every link keeps them.
    """

    request: HttpRequest
    settings: Settings
    page: str
    base: str
    now_ns: int
    found: Readers | None
    parts: Parts = field(default_factory=Parts)

    @property
    def readers(self) -> Readers:
        """Where to read from.

        Raises:
            NothingKept: nowhere.
        """
        if self.found is None:
            raise NothingKept("Nothing is kept here that could be shown.")
        return self.found

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """Of the address; the last one of each."""
        return {name: value for name, value in self.request.GET.items() if isinstance(value, str)}

    def text(self, name: str, longest: int = 500) -> str:
        """A parameter, cut to a sane length; empty where it isn't there."""
        return self.parameters.get(name, "")[:longest].strip()

    def chosen(self, name: str, *words: str) -> str:
        """One of ``words``; the first where the address has none of them."""
        given = self.text(name)
        return given if given in words else words[0]

    @cached_property
    def range(self) -> TimeRange:
        """What the page is about."""
        return ranges.read(self.parameters, self.now_ns)

    @cached_property
    def counted(self) -> TimeRange:
        """What counts of ``range`` are of, where they come from sums of whole minutes."""
        return self.range.counted(self.now_ns)

    @property
    def service(self) -> str | None:
        """Only this one's, None for all."""
        return self.text("service", 200) or None

    @property
    def live(self) -> bool:
        """Whether the page is to go on by itself."""
        return self.text("live") == "1"

    # --- links

    def url(self, name: str, *args: Any, **parameters: Any) -> str:
        """The address of a page by its name in ``paths.PATHS``; None takes a parameter away."""
        kept: dict[str, Any] = {**self.range.parameters(), "service": self.service}
        return self._address(self.base + path_of(name, *args), {**kept, **parameters})

    def here(self, **parameters: Any) -> str:
        """This page's own address with some parameters changed."""
        return self._address(self.request.path, {**self.parameters, **parameters})

    def over(self, length: str) -> str:
        """This page's address for the time until now: the last ``length`` ("15m")."""
        return self.here(**{"range": length, "from": None, "to": None})

    def _address(self, path: str, parameters: Mapping[str, Any]) -> str:
        query = urlencode(
            {name: value for name, value in parameters.items() if value not in (None, "")}
        )
        return f"{path}?{query}" if query else path
