"""What processes began over time, from the embedded store."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal

from otel_django.backends.embedded_roll_ups import LATE, MINUTE_NS, Steps, sums, texts
from otel_django.backends.embedded_rows import KINDS, Histogram
from otel_django.backends.embedded_session import StoreReader
from otel_django.roll_ups import Moment, Timeline
from otel_django.store.roll_up_schema import ENDPOINT, LONG_MINUTES
from otel_django.store.schema import WITH_ROLL_UPS
from otel_django.store.texts import text_id

if TYPE_CHECKING:
    from otel_django.store.slices import Slice

MAX_COURSES: Final = 500
Kind = Literal["all", "requests", "tasks"]
_SPAN_KINDS: Final = {"requests": KINDS.index("server"), "tasks": KINDS.index("consumer")}
_NAMES: Final = {"requests": "[A-Z]*", "tasks": "process *"}
"""What tells them apart in slices that don't keep the kind."""


class EmbeddedTimelineReader(StoreReader):
    """A ``TimelineReader`` of the store at ``path``; cheap to make."""

    def requests(
        self,
        since_ns: int,
        until_ns: int,
        step_ns: int,
        service: str | None = None,
        name: str | None = None,
        kind: Kind = "all",
    ) -> Timeline:
        """At most 2,000 steps: the last ones."""
        steps = Steps(since_ns, until_ns, step_ns)
        found: dict[int, Histogram] = {}
        total = Histogram()
        note = ""
        with self._session() as read:
            try:
                for part in read.slices:
                    where, arguments = _where(part, service, name, kind)
                    for minutes, is_asked in steps.parts:
                        for at, *row in sums(
                            read,
                            part,
                            ENDPOINT,
                            f"minute / {steps.minutes}, bucket",
                            minutes,
                            where=where,
                            arguments=arguments,
                            fine=bool(steps.minutes % LONG_MINUTES),
                            only=("count", "errors", "duration_ns"),
                        ):
                            found.setdefault(at, Histogram()).add(*row)
                            if is_asked:
                                total.add(*row)
            except TimeoutError:
                if not total.count:
                    raise
                note = LATE
        moments = tuple(_moment(steps.start_ns(at), found.get(at)) for at in steps.numbers)
        return Timeline(steps.step_ns, moments, _moment(moments[0].start_ns, total), note)

    def courses(
        self, since_ns: int, until_ns: int, step_ns: int
    ) -> dict[tuple[str, str], tuple[int, ...]]:
        """Of the 500 that were called most; without older times where time was up.

        Long steps are whole half hours.
        """
        half_hours = -(-step_ns // (LONG_MINUTES * MINUTE_NS))
        if half_hours > 1:
            step_ns = half_hours * LONG_MINUTES * MINUTE_NS
        steps = Steps(since_ns, until_ns, step_ns)
        found: dict[tuple[int, int], Counter[int]] = {}
        with self._session() as read:
            try:
                for part in read.slices:
                    for service, name, at, count in sums(
                        read,
                        part,
                        ENDPOINT,
                        f"service, name, minute / {steps.minutes}",
                        (steps.first, steps.last),
                        fine=bool(steps.minutes % LONG_MINUTES),
                        only=("count",),
                    ):
                        found.setdefault((service, name), Counter())[at] += count
            except TimeoutError:
                if not found:
                    raise
                read.extend(1)
            most = sorted(found, key=lambda key: -found[key].total())[:MAX_COURSES]
            named = texts(read, {number for key in most for number in key})
        return {
            (named.get(key[0], ""), named.get(key[1], "")): tuple(
                found[key][at] for at in steps.numbers
            )
            for key in most
        }


def _where(
    part: Slice, service: str | None, name: str | None, kind: Kind
) -> tuple[str, tuple[Any, ...]]:
    conditions = ["true"]
    arguments: list[Any] = []
    for column, value in (("service", service), ("name", name)):
        if value is not None:
            conditions.append(f"{column} = ?")
            arguments.append(text_id(value))
    if kind != "all" and part.version >= WITH_ROLL_UPS:
        conditions.append("kind = ?")
        arguments.append(_SPAN_KINDS[kind])
    elif kind != "all":
        conditions.append(f"name IN (SELECT id FROM text_{part.id} WHERE value GLOB ?)")
        arguments.append(_NAMES[kind])
    return " AND ".join(conditions), tuple(arguments)


def _moment(start_ns: int, found: Histogram | None) -> Moment:
    if found is None or not found.count:
        return Moment(start_ns)
    p50, p95, p99 = (found.percentile_ns(share) for share in (0.5, 0.95, 0.99))
    return Moment(start_ns, found.count, found.errors, found.duration_ns, p50, p95, p99)
