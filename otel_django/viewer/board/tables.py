"""What a part is made of, one by one: routes, databases, queues, workers, disks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.viewer import celery_state, search_terms, units
from otel_django.viewer.board.figures import Cell, Figure, Table
from otel_django.viewer.board.kept import HOUR_NS
from otel_django.viewer.board.parts import HOUR_S, failed_request, task_failed
from otel_django.viewer.levels import last_known
from otel_django.viewer.ranges import TimeRange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from otel_django.metric_points import MetricDefinition
    from otel_django.viewer.board.kept import Kept
    from otel_django.viewer.series import Group, Reading
    from otel_django.viewer.visit import Visit

MOST_ROWS: Final = 30
DAY_STEPS: Final = 24
_NONE: Final = Cell("–", colour="quiet")


def tables(part: str, kept: Kept, visit: Visit) -> list[Table]:
    """Of one part, those of which anything is known."""
    make = _TABLES.get(part)
    return [] if make is None else [table for table in make(kept, visit) if table.rows]


# --- requests


def _site(kept: Kept, visit: Visit) -> Iterable[Table]:
    yield _routes(kept, visit, set())


def _api(kept: Kept, visit: Visit) -> Iterable[Table]:
    """Routes of the API are those that its counter knows."""
    known = {route for (route,) in _day(kept, metrics.DJANGO_API_REQUESTS).groups}
    throttled = _totals(_day(kept, metrics.DJANGO_API_THROTTLED))
    if known:
        yield _routes(kept, visit, known, throttled)


def _routes(
    kept: Kept, visit: Visit, only: set[str], throttled: Mapping[str, float] | None = None
) -> Table:
    by = (names.HTTP_ROUTE,)
    metric = metrics.HTTP_SERVER_REQUEST_DURATION
    day, hour = _day(kept, metric), kept.last(metric, by, HOUR_S)
    wanted = {route: group for (route,), group in day.groups.items() if not only or route in only}
    recent = {route: hour.groups[route,] for route in wanted if (route,) in hour.groups}
    rows = []
    for route, group in sorted(wanted.items(), key=lambda each: -(each[1].total or 0.0)):
        address = visit.url("traces", q=search_terms.written("route", route))
        rows.append([Cell(route or "no route", address), *_served(recent.get(route), group)])
        if throttled is not None:
            rows[-1].append(Cell(units.count(throttled.get(route, 0))))
    if len(rows) > 1:
        of_all = _served(hour.together([*recent.values()]), day.together([*wanted.values()]))
        rows.insert(0, [Cell("All"), *of_all])
        if throttled is not None:
            rows[0].append(Cell(units.count(sum(throttled.values()))))
    columns: tuple[str, ...] = ("Route", "1 h", "Failed", "24 h", "Failed", "p95, 1 h")
    if throttled is not None:
        columns = (*columns, "Throttled, 24 h")
    return _table("Endpoints", columns, rows)


def _served(hour: Group | None, day: Group) -> list[Cell]:
    """How many requests of an hour and of a day, how many of them failed, how long they took."""
    counted = [_counted(hour), _counted(day)]
    p95_s = hour.spread.quantile_s(0.95) if hour and hour.spread.count else None
    return [
        *(cell for total, failed in counted for cell in _failures(total, failed)),
        _NONE if p95_s is None else Cell(units.duration(p95_s * 1e9)),
    ]


def _counted(group: Group | None) -> tuple[float, float]:
    """Requests, and those that failed."""
    if group is None:
        return 0.0, 0.0
    failed = [one for one in group.series if failed_request(dict(one.attributes))]
    return group.total or 0.0, (group.among(failed).total or 0.0) if failed else 0.0


def _failures(total: float, failed: float) -> tuple[Cell, Cell]:
    share = failed / total if total else None
    return (
        Cell(units.count(round(total))),
        Cell("–" if share is None else units.share(share), colour="bad" if failed >= 1 else ""),
    )


# --- databases and caches


def _database(kept: Kept, visit: Visit) -> Iterable[Table]:
    sizes = kept.last(metrics.DJANGO_DB_SIZE, (names.DJANGO_DB_ALIAS,), HOUR_S)
    ago = _day(kept, metrics.DJANGO_DB_SIZE, (names.DJANGO_DB_ALIAS,))
    used = _levels(kept.last(metrics.DJANGO_DB_CONNECTION_UTILIZATION, sizes.by, HOUR_S))
    rows = []
    for key, size in _levels(sizes).items():
        course = ago.groups[key].levels("max") if key in ago.groups else []
        first = next((level for level in course if level is not None), None)
        known = sum(level is not None for level in course)
        growth = Figure("", "", "By", size, first).change if known > 1 else ""
        share = used.get(key)
        rows.append(
            [
                Cell(key[0], visit.url("database")),
                Cell(units.size(size)),
                Cell(growth) if growth else _NONE,
                _NONE if share is None else Cell(units.share(share)),
            ]
        )
    yield _table("Databases", ("Alias", "Size", "Growth, 24 h", "Connections used"), rows)
    states = kept.last(
        metrics.DB_CLIENT_CONNECTION_COUNT, (names.DB_CLIENT_CONNECTION_STATE,), HOUR_S
    )
    yield _table(
        "Connections of the site's processes",
        ("State", "Number"),
        [
            [Cell(state), Cell(units.count(number))]
            for (state,), number in _levels(states, "sum").items()
        ],
    )


def _cache(kept: Kept, visit: Visit) -> Iterable[Table]:
    alias = (names.DJANGO_CACHE_ALIAS,)
    columns = {
        "Memory": (metrics.REDIS_MEMORY_USED, units.size),
        "Keys": (metrics.REDIS_KEYS, units.count),
        "Expire": (metrics.REDIS_KEYS_EXPIRING, units.count),
        "Evicted": (metrics.REDIS_EVICTIONS, units.count),
    }
    found = {
        title: _levels(kept.last(metric, alias, HOUR_S)) for title, (metric, _) in columns.items()
    }
    rows = []
    for key in sorted({key for levels in found.values() for key in levels}):
        cells = [Cell(key[0], visit.url("cache"))]
        for title, (_, say) in columns.items():
            level = found[title].get(key)
            cells.append(_NONE if level is None else Cell(say(level)))
        rows.append(cells)
    yield _table("Redis", ("Cache", *columns), rows)


# --- Celery


def _celery(kept: Kept, visit: Visit) -> Iterable[Table]:
    queues, _ = celery_state.queues(visit)
    ended = kept.last(
        metrics.CELERY_TASK_EXECUTIONS, (names.MESSAGING_DESTINATION_NAME,), HOUR_S
    ).groups
    yield _table(
        "Queues",
        ("Queue", "Waiting", "Oldest waits", "Ended, 1 h"),
        [
            [
                Cell(each.name, visit.url("traces", q=each.query)),
                _NONE if each.length is None else Cell(units.count(each.length)),
                _NONE if each.oldest_ns is None else Cell(units.duration(each.oldest_ns)),
                Cell(_per_hour(ended.get((each.name,)))),
            ]
            for each in queues
        ],
    )
    yield _table(
        "Workers",
        ("Worker", "Runs", "Took for later", "Takes a task in", "State"),
        [
            [
                Cell(each.name, visit.url("traces", q=each.query)),
                _NONE if each.running is None else Cell(units.count(each.running)),
                _NONE if each.reserved is None else Cell(units.count(each.reserved)),
                _NONE if each.response_ns is None else Cell(units.duration(each.response_ns)),
                Cell(each.state or "heard of", colour="" if each.state in _WELL else "bad"),
            ]
            for each in celery_state.workers(visit)
        ],
        {1, 2, 3},
    )
    yield _tasks(kept, visit)


_WELL: Final = frozenset({"", "online"})


def _tasks(kept: Kept, visit: Visit) -> Table:
    """What runs now, and how what ran ended."""
    by = (names.CELERY_TASK_NAME,)
    running = _levels(kept.last(metrics.CELERY_TASK_ACTIVE, by, HOUR_S), "sum")
    rows = []
    for key, group in kept.last(metrics.CELERY_TASK_EXECUTIONS, by, HOUR_S).groups.items():
        total = group.total or 0.0
        failed = [one for one in group.series if task_failed(dict(one.attributes))]
        failures = (group.among(failed).total or 0.0) if failed else 0.0
        cells = [
            Cell(key[0], visit.url("tasks", q=key[0])),
            Cell(units.count(running.get(key, 0))),
            *_failures(total, failures),
        ]
        rows.append((total, cells))
    rows.sort(key=lambda row: -row[0])
    return _table("Tasks", ("Task", "Running", "Ended, 1 h", "Failed"), [row for _, row in rows])


def _per_hour(group: Group | None) -> str:
    return "–" if group is None or group.total is None else units.count(round(group.total))


# --- hosts


def _host(kept: Kept, visit: Visit) -> Iterable[Table]:
    by = (names.SERVICE_NAME, names.SERVICE_INSTANCE_ID)
    memory = kept.last(metrics.SYSTEM_MEMORY_UTILIZATION, (*by, names.SYSTEM_MEMORY_STATE), HOUR_S)
    used = {key[:2]: level for key, level in _levels(memory).items() if key[2] == "used"}
    cpu = kept.last(metrics.SYSTEM_CPU_UTILIZATION, (*by, names.CPU_MODE), HOUR_S)
    busy: dict[tuple[str, ...], float] = {}
    for key, level in _levels(cpu).items():
        if key[2] not in {"idle", "iowait"}:
            busy[key[:2]] = busy.get(key[:2], 0.0) + level
    load = _levels(kept.last(metrics.SYSTEM_CPU_LOAD_AVERAGE_1M, by, HOUR_S))
    yield _table(
        "Hosts",
        ("Service", "Instance", "CPU", "Memory", "Load, 1 min"),
        [
            [
                Cell(key[0]),
                Cell(key[1]),
                *(_share(found.get(key)) for found in (busy, used)),
                _NONE if key not in load else Cell(units.count(round(load[key], 2))),
            ]
            for key in sorted({*busy, *used, *load})
        ],
        {2, 3, 4},
    )
    yield _disks(kept, (*by, names.SYSTEM_FILESYSTEM_MOUNTPOINT))


def _disks(kept: Kept, by: tuple[str, ...]) -> Table:
    """The fullest first. What is reserved for root is no part of either size, as in ``df``."""
    used = _levels(kept.last(metrics.SYSTEM_FILESYSTEM_UTILIZATION, by, HOUR_S))
    state = (*by, names.SYSTEM_FILESYSTEM_STATE)
    sizes: dict[tuple[str, ...], dict[str, float]] = {}
    for key, level in _levels(kept.last(metrics.SYSTEM_FILESYSTEM_USAGE, state, HOUR_S)).items():
        sizes.setdefault(key[:3], {})[key[3]] = level
    rows = []
    for key, level in sorted(used.items(), key=lambda each: -each[1]):
        size = sizes.get(key, {})
        cells = [Cell(key[2]), Cell(key[1]), _share(level)]
        free = size.get("free")
        whole = None if free is None or "used" not in size else size["used"] + free
        cells += [_size(free), _size(whole)]
        rows.append(cells)
    return _table("Disks", ("Mounted at", "Instance", "Used", "Free", "In all"), rows, {2, 3, 4})


def _size(level: float | None) -> Cell:
    return _NONE if level is None else Cell(units.size(level))


def _share(level: float | None) -> Cell:
    return _NONE if level is None else Cell(units.share(level))


# --- all


def _day(
    kept: Kept, metric: MetricDefinition, by: tuple[str, ...] = (names.HTTP_ROUTE,)
) -> Reading:
    when = TimeRange(kept.now_ns - 24 * HOUR_NS, kept.now_ns, "")
    return kept.grouped(kept.reading(metric, when, DAY_STEPS), by)


def _totals(reading: Reading) -> dict[str, float]:
    return {key: group.total or 0.0 for (key,), group in reading.groups.items()}


def _levels(reading: Reading, how: str = "max") -> dict[tuple[str, ...], float]:
    """The last one of each group that is known."""
    levels = {key: last_known(group.levels(how)) for key, group in reading.groups.items()}
    return {key: level for key, level in levels.items() if level is not None}


def _table(
    title: str,
    columns: tuple[str, ...],
    rows: Sequence[Sequence[Cell]],
    numbers: set[int] | None = None,
) -> Table:
    """All columns but the first are figures, unless ``numbers`` says otherwise."""
    of_figures = set(range(1, len(columns))) if numbers is None else numbers
    more = max(0, len(rows) - MOST_ROWS)
    return Table(title, columns, rows[:MOST_ROWS], frozenset(of_figures), more)


_TABLES: Final[dict[str, Callable[[Kept, Visit], Iterable[Table]]]] = {
    "site": _site,
    "database": _database,
    "cache": _cache,
    "celery": _celery,
    "api": _api,
    "host": _host,
}
