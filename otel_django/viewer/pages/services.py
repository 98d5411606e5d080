"""The map of services: who calls whom, how often, and with what end."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_django import names
from otel_django.viewer import units
from otel_django.viewer.filters import inert
from otel_django.viewer.page import Context, page
from otel_django.viewer.search_terms import written
from otel_django.viewer.service_map import HEIGHT, WIDTH, Path, layout
from otel_django.viewer.table import Column, in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otel_django.contracts import OperationStats
    from otel_django.roll_ups import Edge, EdgeAnswer
    from otel_django.viewer.visit import Visit

MOST_DRAWN: Final = 80
MANY_FAILED: Final = 0.05
COLUMNS: Final = (
    Column("source", "From", "By name", text=True),
    Column("target", "To", "By name", text=True),
    Column("kind", "Kind", "By kind", text=True),
    Column("count", "Rate", "Most calls first"),
    Column("error_share", "Failed", "Most failures first"),
    Column("mean_ns", "Mean", "Slowest first"),
    Column("p95_ns", "p95", "Slowest first"),
)
WORDS: Final = {
    "service": ("service", "services"),
    "database": ("database", "databases"),
    "messaging": ("queue", "queues"),
    "http": ("HTTP host", "HTTP hosts"),
}
COLOURS: Final = {"service": "code"}
"""Of the boxes; the other kinds are called as their colours are."""
TOLD_BY: Final = {"http": names.SERVER_ADDRESS, "messaging": names.MESSAGING_DESTINATION_NAME}
"""The attribute of calling spans that names what is called."""


class End(NamedTuple):
    """What calls or is called; a database may have the name of a service."""

    kind: str
    name: str

    @property
    def key(self) -> str:
        """On the map."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Call:
    """An edge with what the table and the map say of it."""

    edge: Edge
    traces: str
    seconds: float

    @property
    def ends(self) -> tuple[End, End]:
        """The caller, which is a service, and the called."""
        return End("service", self.edge.source), End(self.edge.kind, self.edge.target)

    @property
    def source(self) -> str:
        """For sorting, as the properties below."""
        return self.edge.source

    @property
    def target(self) -> str:
        """Who is called."""
        return self.edge.target

    @property
    def kind(self) -> str:
        """Of the target, in words."""
        return WORDS[self.edge.kind][0]

    @property
    def count(self) -> int:
        """Calls in the range."""
        return self.edge.count

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.edge.count / self.seconds

    @property
    def error_share(self) -> float:
        """0 to 1."""
        return self.edge.errors / max(1, self.edge.count)

    @property
    def state(self) -> str:
        """How the line is drawn."""
        return _state(self.error_share)

    @property
    def mean_ns(self) -> float:
        """A call's time."""
        return self.edge.duration_ns / max(1, self.edge.count)

    @property
    def p95_ns(self) -> int | None:
        """None where it isn't known."""
        return self.edge.p95_ns

    @property
    def details(self) -> str:
        """All of it in one line."""
        p95 = "" if self.p95_ns is None else f", p95 {units.duration(self.p95_ns)}"
        failed = f"{units.share(self.error_share)} failed" if self.edge.errors else "none failed"
        return (
            f"{inert(self.source)} → {inert(self.target)}: {units.rate(self.rate)} "
            f"({units.count(self.count)} calls), {failed}, "
            f"mean {units.duration(self.mean_ns)}{p95}"
        )


@dataclass(frozen=True, slots=True)
class Box:
    """A service or what one calls. ``rate`` is None where nothing is known of its own work."""

    end: End
    colour: str
    x: float
    y: float
    rate: float | None
    error_share: float
    address: str

    @property
    def word(self) -> str:
        """What it is, in few letters."""
        return "HTTP" if self.end.kind == "http" else WORDS[self.end.kind][0]

    @property
    def state(self) -> str:
        """How the box is drawn."""
        return _state(self.error_share)


@page("services", "Services")
def services(visit: Visit) -> Context:
    """All services, or the neighbours of one."""
    when = visit.range
    found = visit.readers.edges.edges(when.since_ns, when.until_ns)
    every = _joined(found)
    edges = [edge for edge in every if visit.service in {None, edge.source, edge.target}]
    operations = (
        visit.parts.ask(
            "what they do themselves",
            lambda: visit.readers.traces.endpoints(when.since_ns, when.until_ns),
        )
        or ()
    )
    calls = _calls(visit, edges, every)
    own = _own_work(operations)
    drawn = calls[:MOST_DRAWN]
    boxes, lines, size = _drawing(visit, drawn, own)
    rows, headings = in_order(visit, calls, COLUMNS, "count")
    return {
        "boxes": boxes,
        "lines": lines,
        "size": size,
        "box_size": (WIDTH, HEIGHT),
        "states": ("well", "warn", "error"),
        "rows": rows,
        "headings": headings,
        "counts": _counts(_ends(visit, calls, own)),
        "calls": sum(call.count for call in calls),
        "failed": sum(call.edge.errors for call in calls),
        "worst": max(
            (call for call in calls if call.edge.errors),
            key=lambda call: call.error_share,
            default=None,
        ),
        "slowest": max(
            (call for call in calls if call.p95_ns is not None),
            key=lambda call: call.p95_ns or 0,
            default=None,
        ),
        "partial": found.partial,
        "not_drawn": len(calls) - len(drawn),
    }


def _state(error_share: float) -> str:
    if not error_share:
        return "well"
    return "error" if error_share >= MANY_FAILED else "warn"


def _own_work(operations: Iterable[OperationStats]) -> Mapping[str, tuple[int, int]]:
    """Service → what it began, and how much of that failed."""
    count: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for each in operations:
        count[each.service] += each.count
        errors[each.service] += each.errors
    return {service: (number, errors[service]) for service, number in count.items()}


# --- calls


def _joined(found: EdgeAnswer) -> list[Edge]:
    """An HTTP host behind which a service answers is that service, and its calls stand once.

    Of both accounts the fuller one counts: the caller's has calls that never arrived, the called
    one's those of callers that weren't recorded.
    """
    edges: dict[tuple[str, str, str], Edge] = {}
    for each in sorted(found.edges, key=lambda edge: edge.kind != "http"):
        service = found.hosts.get(each.target) if each.kind == "http" else None
        edge = replace(each, target=service, kind="service") if service else each
        key = (edge.source, edge.target, edge.kind)
        if key not in edges or edges[key].count < edge.count:
            edges[key] = edge
    return list(edges.values())


def _calls(visit: Visit, edges: Sequence[Edge], every: Sequence[Edge]) -> list[Call]:
    seconds = visit.counted.length_s
    return [
        Call(edge, _traces(visit, edge, every), seconds)
        for edge in sorted(edges, key=lambda edge: -edge.count)
    ]


def _traces(visit: Visit, edge: Edge, every: Sequence[Edge]) -> str:
    """Traces that may hold such calls: by where they begin, and by what the calling spans say."""
    said = TOLD_BY.get(edge.kind)
    q = written(said, edge.target) if said else None
    return visit.url("traces", service=_entry(edge.source, every), q=q)


def _entry(service: str, every: Sequence[Edge]) -> str:
    """The nearest service up the calls that no other one calls; itself in a circle."""
    callers: dict[str, list[str]] = {}
    for edge in every:
        if edge.kind == "service":
            callers.setdefault(edge.target, []).append(edge.source)
    seen, waiting = {service}, deque([service])
    while waiting:
        name = waiting.popleft()
        if name not in callers:
            return name
        waiting += [each for each in callers[name] if each not in seen]
        seen.update(callers[name])
    return service


# --- the map


def _ends(visit: Visit, calls: Sequence[Call], own: Iterable[str]) -> list[End]:
    """Services that did something, and both ends of each call; the page's service alone, if any."""
    alone = (End("service", name) for name in own if visit.service in {None, name})
    ends = itertools.chain.from_iterable(call.ends for call in calls)
    return list(dict.fromkeys([*ends, *itertools.islice(alone, MOST_DRAWN)]))


def _drawing(
    visit: Visit, calls: Sequence[Call], own: Mapping[str, tuple[int, int]]
) -> tuple[list[Box], list[tuple[Call, Path]], tuple[int, int]]:
    """Boxes, lines, width and height."""
    ends = _ends(visit, calls, own)
    by_pair = {(call.ends[0].key, call.ends[1].key): call for call in calls}
    found = layout([end.key for end in ends], {pair: call.count for pair, call in by_pair.items()})
    boxes = [_box(visit, end, found.boxes[end.key], calls, own) for end in ends]
    lines = [(by_pair[pair], path) for pair, path in found.paths.items()]
    return boxes, lines, (found.width, found.height)


def _box(
    visit: Visit,
    end: End,
    place: tuple[float, float],
    calls: Sequence[Call],
    own: Mapping[str, tuple[int, int]],
) -> Box:
    if end.kind == "service":
        count, errors = own.get(end.name, (0, 0))
    else:
        to_it = [call.edge for call in calls if call.ends[1] == end]
        count, errors = sum(edge.count for edge in to_it), sum(edge.errors for edge in to_it)
    seconds = visit.counted.length_s
    return Box(
        end,
        COLOURS.get(end.kind, end.kind),
        *place,
        count / seconds if count else None,
        errors / max(1, count),
        _address(visit, end),
    )


def _address(visit: Visit, end: End) -> str:
    if end.kind == "service":
        return visit.url("endpoints", service=end.name)
    if end.kind == "http":
        return visit.url("traces", service=None, q=written(names.SERVER_ADDRESS, end.name))
    return visit.url("database" if end.kind == "database" else "tasks")


def _counts(ends: Iterable[End]) -> list[tuple[int, str]]:
    """``3 services``, ``1 database``: those there are."""
    numbers = Counter(end.kind for end in ends)
    return [
        (numbers[kind], words[numbers[kind] != 1]) for kind, words in WORDS.items() if numbers[kind]
    ]
