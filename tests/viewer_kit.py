"""A store that the pages show, for tests: what is written to it, and the site around it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import TypeVar

import pytest
from django.test import override_settings

from otel_django.store.metric_writer import MetricWriter
from otel_django.store.writer import LogWriter, StoreWriter
from otel_django.viewer import page
from tests.endpoints_kit import ours
from tests.store_spans import Losses, SpanSource, store_path

MINUTE_NS = 60 * 10**9


class StillClock:
    """It stands."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_s(self) -> float:
        return self._now_ns / 1e9


class Telemetry:
    """All signals of a site; subclasses say what happened there."""

    def __init__(self, folder: Path, retention_hours: float = 24) -> None:
        self.path = store_path(folder)
        self.losses = Losses()
        self.writer = StoreWriter(
            self.path, retention_hours=retention_hours, max_mb=64, drops=self.losses
        )
        self.logs = LogWriter(self.writer.file, drops=self.losses)
        self.metrics = MetricWriter(self.writer.file, drops=self.losses)
        self.spans = SpanSource()
        self.now_ns = time.time_ns()

    def keep(self) -> None:
        """Write what has happened until now."""
        self.writer.accept(self.spans.take())
        for sink in (self.writer, self.logs, self.metrics):
            sink.flush(time.monotonic() + 5)

    def close(self) -> None:
        """Nothing of it was lost."""
        for sink in (self.writer, self.logs, self.metrics):
            sink.close(time.monotonic() + 2)
        assert self.losses.counts == {}


Kept = TypeVar("Kept", bound=Telemetry)


@contextmanager
def at_second(telemetry: Telemetry, second: float) -> Iterator[None]:
    """Pages as they are at that second of its minute, however long the test takes."""
    now_ns = telemetry.now_ns // MINUTE_NS * MINUTE_NS + int(second * 1e9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "SYSTEM_CLOCK", StillClock(now_ns))
        yield


@contextmanager
def shown(telemetry: Kept) -> Iterator[Kept]:
    """A site of the pages alone, which are at its root; those with a token see them."""
    with (
        ours(TOKENS=["sesame"], STORE=str(telemetry.path)),
        override_settings(ROOT_URLCONF="otel_django.viewer.urls"),
    ):
        yield telemetry
    telemetry.close()


def text(html: str) -> str:
    """What a reader sees of a page, or of a part of one, on one line."""
    main = html.partition('<main id="main">')[2].partition("</main>")[0] or html
    whole = re.sub(r"</?em[^>]*>", "", main)
    bare = re.sub(r"<script.*?</script>|<title>.*?</title>|<[^>]+>", " ", whole, flags=re.DOTALL)
    return re.sub(r" ([;,.:])", r"\1", " ".join(unescape(bare).split()))


def rows(html: str) -> list[str]:
    """The rows of the first table's body, as a reader sees them."""
    body = html.partition("<tbody>")[2].partition("</tbody>")[0]
    return [text(row) for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL)]
