"""From raw turns to the figures that are shown: medians, and differences to bare in each turn."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.contestants import BARE, Contestant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.latency import Served
    from benchmarks.processor_time import Turns
    from benchmarks.startup import Started

QUERIES = 10
STEADY = 4.0
"""On a quiet machine the bare page's p99 is about 1.5 times its p50."""


@dataclass(frozen=True)
class Results:
    """Everything that one run measured, by contestant name."""

    contestants: Sequence[Contestant]
    turns: Mapping[str, Turns]
    served: Mapping[str, Served]
    started: Mapping[str, Started]

    def invalid(self) -> dict[str, str]:
        """Contestants whose figures don't count, and why."""
        reasons: dict[str, str] = {}
        parts: tuple[Mapping[str, Turns | Served | Started], ...] = (
            self.turns,
            self.served,
            self.started,
        )
        for part in parts:
            for name, result in part.items():
                if result.invalid is not None:
                    reasons.setdefault(name, result.invalid)
        return reasons

    def cpu_us(self, name: str, page: str) -> float | None:
        """Processor time of a request, export included."""
        return _median(self._turns(name, "cpu_us", page))

    def added_us(self, name: str, page: str, kind: str = "cpu_us") -> float | None:
        """What the contestant adds to a request; ``main_cpu_us``: on the serving thread only."""
        return _median(self._added(name, kind, page))

    def cpu_ratio(self, name: str, other: str, page: str) -> float | None:
        """Processor time of a request as a multiple of what another contestant's takes."""
        pairs = zip(
            self._turns(name, "cpu_us", page), self._turns(other, "cpu_us", page), strict=False
        )
        return _median([one / less for one, less in pairs])

    def query_us(self, name: str, page: str = "queries") -> float | None:
        """What the contestant adds to one query: of ten different ones, or of an N+1."""
        pages = zip(
            self._added(name, "cpu_us", page),
            self._added(name, "cpu_us", "trivial"),
            strict=False,
        )
        return _median([(ten - none) / QUERIES for ten, none in pages])

    def more_us(self, name: str, other: str, page: str) -> float | None:
        """How much more one contestant adds than another."""
        pairs = zip(
            self._added(name, "cpu_us", page), self._added(other, "cpu_us", page), strict=False
        )
        return _median([one - less for one, less in pairs])

    def added_ratio(self, name: str, other: str, page: str) -> float | None:
        """What one contestant adds, as a share of what another does."""
        pairs = zip(
            self._added(name, "cpu_us", page), self._added(other, "cpu_us", page), strict=False
        )
        return _median([ours / theirs for ours, theirs in pairs if theirs > 0])

    def memory_mib(self, name: str) -> float | None:
        """Resident memory beyond the bare process's."""
        if not self._valid(name) or not self._valid(BARE.name):
            return None
        pairs = zip(self.turns[name].rss_bytes, self.turns[BARE.name].rss_bytes, strict=False)
        return _median([(one - bare) / 2**20 for one, bare in pairs])

    def latency_ms(self, name: str, quantile: float) -> float | None:
        """Median over the segments of a quantile of the page's latency behind gunicorn."""
        return _median([_quantile(one, quantile) * 1e3 for one in self._segments(name)])

    def latency_ratio(self, name: str, quantile: float) -> float | None:
        """The quantile as a multiple of bare's, segment by segment."""
        pairs = zip(self._segments(name), self._segments(BARE.name), strict=False)
        return _median(
            [_quantile(one, quantile) / _quantile(bare, quantile) for one, bare in pairs]
        )

    def latency_is_steady(self) -> bool:
        """Whether the bare server got the processor when it wanted it; else ratios say nothing."""
        median_ms, slowest_ms = self.latency_ms(BARE.name, 0.5), self.latency_ms(BARE.name, 0.99)
        return median_ms is None or slowest_ms is None or slowest_ms < STEADY * median_ms

    def start_ms(self, name: str, command: str) -> float | None:
        """Processor time that the contestant adds to a command; it runs on one core."""
        if name not in self.started or BARE.name not in self.started:
            return None
        pairs = zip(
            self.started[name].cpu_s.get(command, ()),
            self.started[BARE.name].cpu_s.get(command, ()),
            strict=False,
        )
        return _median([(one - bare) * 1e3 for one, bare in pairs])

    def _valid(self, name: str) -> bool:
        return name in self.turns and self.turns[name].invalid is None

    def _turns(self, name: str, kind: str, page: str) -> list[float]:
        if not self._valid(name):
            return []
        by_page: dict[str, list[float]] = getattr(self.turns[name], kind)
        return by_page.get(page, [])

    def _added(self, name: str, kind: str, page: str) -> list[float]:
        """Against the same process without the contestant where there is such, else the bare one.

        Two processes of one program differ by two or three per cent for as long as they live:
        more than a light contestant adds to a heavy page.
        """
        off = self._turns(name, f"off_{kind}", page) or self._turns(self._bare(name), kind, page)
        return [one - bare for one, bare in zip(self._turns(name, kind, page), off, strict=False)]

    def _bare(self, name: str) -> str:
        return next((one.bare for one in self.contestants if one.name == name), BARE.name)

    def _segments(self, name: str) -> list[list[float]]:
        served = self.served.get(name)
        return served.segments_s if served is not None and served.invalid is None else []


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _quantile(values: Sequence[float], quantile: float) -> float:
    return sorted(values)[min(int(len(values) * quantile), len(values) - 1)]
