"""Sums over many spans and log records, as pages ask for them: Protocols and rows.

Apart from the other contracts, which processes that only record needn't load. Times are
nanoseconds since the epoch; ranges are taken in whole minutes, their ends belong to them as far as
there is anything. ``partial`` is empty when an answer is whole, else a sentence that says what is
missing. Every answer is bounded in time and rows; a backend that can't answer raises ReadError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from otel_django.contracts import LogQuery


@dataclass(frozen=True, slots=True)
class Moment:
    """What ended in one step of time; percentiles are None where nothing did."""

    start_ns: int
    count: int = 0
    errors: int = 0
    duration_ns: int = 0
    p50_ns: int | None = None
    p95_ns: int | None = None
    p99_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """One moment for each step of the range, also where nothing was."""

    step_ns: int
    moments: tuple[Moment, ...]
    total: Moment
    """Of the whole range; its percentiles are those of all together."""
    partial: str = ""


class TimelineReader(Protocol):
    """What processes begin (requests, tasks, commands) over time."""

    def requests(
        self,
        since_ns: int,
        until_ns: int,
        step_ns: int,
        service: str | None = None,
        name: str | None = None,
        kind: Literal["all", "requests", "tasks"] = "all",
    ) -> Timeline:
        """``name`` is that of the local root ("GET /checkout/"); steps are whole minutes."""
        ...

    def courses(
        self, since_ns: int, until_ns: int, step_ns: int
    ) -> Mapping[tuple[str, str], tuple[int, ...]]:
        """How often each was called in each step, by service and name; steps as ``requests``'s."""
        ...


@dataclass(frozen=True, slots=True)
class LevelMoment:
    """Log records of one step by class of severity: debug, info, warning, error, critical."""

    start_ns: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Facet:
    """One value of a field, and how many records have it."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class LogSummary:
    """Records that match, over time, and what else there is to choose.

    ``moments`` and ``levels`` are of records that match all that is asked for; ``choices`` of those
    of any level, ``loggers`` of any logger, ``services`` of any service, commonest first.
    """

    step_ns: int
    moments: tuple[LevelMoment, ...]
    levels: Mapping[str, int]
    choices: Mapping[str, int]
    loggers: tuple[Facet, ...] = ()
    services: tuple[Facet, ...] = ()
    partial: str = ""


class LogSummaryReader(Protocol):
    """Log records by number."""

    def summary(
        self, since_ns: int, until_ns: int, step_ns: int, query: LogQuery | None = None
    ) -> LogSummary:
        """Records of the range that match ``query``, whose own range and limit don't count."""
        ...


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Exceptions alike. ``fingerprint`` is 16 hexadecimal digits, the same in every process.

    ``place`` is the innermost line of the site's own code (``orders/views.py:42``), or of any.
    ``releases`` are the values of ``service.version``, oldest first; ``first_release`` the one it
    was seen in first. ``trace_id`` is a sample's, empty where it had none.
    """

    fingerprint: str
    type: str
    message: str
    place: str
    service: str
    count: int
    first_ns: int
    last_ns: int
    releases: tuple[str, ...] = ()
    trace_id: str = ""
    where: str = ""
    """The route or task of the sample."""
    minutes: Mapping[int, int] | None = None
    """Minute since the epoch → count, within the range."""


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """A group with its last samples: trace ids, keys of log records, and one stack trace."""

    group: ErrorGroup
    stacktrace: str
    trace_ids: tuple[str, ...] = ()
    log_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """Groups, last seen first; ``total`` says how many there are."""

    groups: tuple[ErrorGroup, ...]
    total: int
    partial: str = ""


class ErrorReader(Protocol):
    """Exceptions, grouped."""

    def groups(
        self, since_ns: int, until_ns: int, service: str | None = None, limit: int = 200
    ) -> ErrorPage:
        """Those seen in the range; ``count`` is of the range, ``first_ns`` of all that is kept."""
        ...

    def group(self, fingerprint: str, since_ns: int, until_ns: int) -> ErrorDetail | None:
        """One of them; None where it isn't kept any more."""
        ...


EdgeKind: TypeAlias = Literal["service", "database", "messaging", "http"]


@dataclass(frozen=True, slots=True)
class Edge:
    """Calls from a service to another one, a database, a queue or a host.

    ``kind`` is of the target: service, database, messaging, http.
    """

    source: str
    target: str
    kind: EdgeKind
    count: int
    errors: int
    duration_ns: int
    p95_ns: int | None = None


@dataclass(frozen=True, slots=True)
class EdgeAnswer:
    """The edges of a range, most calls first; ``hosts`` are services by their HTTP hosts' names.

    Calls to those stand twice: as the caller has them, by host, and as they arrived, by service.
    """

    edges: tuple[Edge, ...]
    partial: str = ""
    hosts: Mapping[str, str] = field(default_factory=dict)


class EdgeReader(Protocol):
    """Who calls whom."""

    def edges(self, since_ns: int, until_ns: int) -> EdgeAnswer:
        """All services'."""
        ...


@dataclass(frozen=True, slots=True)
class Release:
    """A ``service.version`` of a service, and when anything of it was first and last written."""

    service: str
    version: str
    first_ns: int
    last_ns: int


class ReleaseReader(Protocol):
    """Which versions ran when."""

    def releases(self, since_ns: int, until_ns: int) -> tuple[Release, ...]:
        """Those that ran in the range, by their beginning; ``first_ns`` is of all that is kept."""
        ...
