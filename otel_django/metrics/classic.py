"""The metric names of dashboards made for Django before OpenTelemetry, from the same numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from otel_django import metric_definitions as definitions
from otel_django import names
from otel_django.metric_points import (
    Attributes,
    AttributeValue,
    Metric,
    MetricDefinition,
    NumberPoint,
    Point,
    ResourceMetrics,
)
from otel_django.metrics.prometheus_families import (
    FamilyKind,
    Source,
    bucket_bounds,
    family_kind,
)
from otel_django.metrics.prometheus_names import Labels, label_name, label_value

_OVERFLOW = "otel.metric.overflow"


@dataclass(frozen=True)
class Classic:
    """One classic metric: where its numbers come from, and which attribute each label shows.

    Series that differ in other attributes are added. ``only`` chooses points by an attribute;
    with ``counts`` it is how often a histogram was recorded.
    """

    name: str
    source: MetricDefinition
    help: str
    labels: tuple[tuple[str, str], ...] = ()
    only: tuple[str, AttributeValue] | None = None
    counts: bool = False

    @property
    def kind(self) -> FamilyKind:
        """Counter, gauge or histogram."""
        return "counter" if self.counts else family_kind(self.source.kind)

    @property
    def sample(self) -> str:
        """The name to query: a counter's ends in ``_total``."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


def _also(key: str) -> tuple[str, str]:
    """OpenTelemetry's label besides, where its name of the metric is the classic one, too.

    So rules find what they ask for, and take what was scraped for what came by OTLP.
    """
    return label_name(key), key


_ENDPOINT = (("method", names.HTTP_REQUEST_METHOD), ("endpoint", names.HTTP_ROUTE))
_QUERY = (("database", names.DB_NAMESPACE), ("operation", names.DB_OPERATION_NAME))
_CACHE = (("cache", names.DJANGO_CACHE_ALIAS),)

ALL = (
    Classic(
        "django_http_requests",
        definitions.HTTP_SERVER_REQUEST_DURATION,
        "Requests that were answered.",
        (*_ENDPOINT, ("status", names.HTTP_RESPONSE_STATUS_CODE)),
        counts=True,
    ),
    Classic(
        "django_http_request_duration_seconds",
        definitions.HTTP_SERVER_REQUEST_DURATION,
        "Time from a request's arrival until the last byte of its answer.",
        _ENDPOINT,
    ),
    Classic(
        "django_http_request_size_bytes",
        definitions.HTTP_SERVER_REQUEST_BODY_SIZE,
        "Size of request bodies.",
        _ENDPOINT,
    ),
    Classic(
        "django_http_response_size_bytes",
        definitions.HTTP_SERVER_RESPONSE_BODY_SIZE,
        "Size of response bodies.",
        _ENDPOINT,
    ),
    Classic(
        "django_http_exceptions",
        definitions.DJANGO_EXCEPTIONS,
        "Exceptions that the site's code did not catch.",
        (("endpoint", names.HTTP_ROUTE), ("type", names.ERROR_TYPE)),
    ),
    Classic(
        "django_db_query_duration_seconds",
        definitions.DB_CLIENT_OPERATION_DURATION,
        "Time of database calls.",
        _QUERY,
    ),
    Classic(
        "django_db_queries",
        definitions.DB_CLIENT_OPERATION_DURATION,
        "Database calls, connecting included.",
        _QUERY,
        counts=True,
    ),
    Classic(
        "django_db_connections_active",
        definitions.DB_CLIENT_CONNECTION_COUNT,
        "Database connections that are in use.",
        (("database", names.DB_CLIENT_CONNECTION_POOL_NAME),),
        only=(names.DB_CLIENT_CONNECTION_STATE, "used"),
    ),
    Classic(
        "django_cache_hits",
        definitions.DJANGO_CACHE_OPERATIONS,
        "Keys that were found in a cache.",
        _CACHE,
        only=(names.DJANGO_CACHE_RESULT, "hit"),
    ),
    Classic(
        "django_cache_misses",
        definitions.DJANGO_CACHE_OPERATIONS,
        "Keys that were not found in a cache.",
        _CACHE,
        only=(names.DJANGO_CACHE_RESULT, "miss"),
    ),
    Classic(
        "celery_task",
        definitions.CELERY_TASK_EXECUTIONS,
        "Runs of tasks, by how they ended.",
        (("state", names.CELERY_TASK_STATE),),
    ),
    Classic(
        "celery_task_duration_seconds",
        definitions.MESSAGING_PROCESS_DURATION,
        "Time of running a task.",
        (("task", names.CELERY_TASK_NAME),),
    ),
    Classic(
        "celery_queue_length",
        definitions.CELERY_QUEUE_LENGTH,
        "Messages that wait in a queue for a worker.",
        (("queue", names.MESSAGING_DESTINATION_NAME), _also(names.MESSAGING_DESTINATION_NAME)),
    ),
    Classic(
        "celery_workers",
        definitions.CELERY_WORKERS,
        "Workers that are known, by state.",
        (("state", names.CELERY_WORKER_STATE), _also(names.CELERY_WORKER_STATE)),
    ),
)


def from_metrics(data: Iterable[ResourceMetrics]) -> Iterator[Source]:
    """Every classic metric there are numbers of."""
    by_source: dict[str, list[Metric]] = {}
    for resource in data:
        for metric in resource.metrics:
            if metric.scope.name == names.SCOPE:
                by_source.setdefault(metric.name, []).append(metric)
    for classic in ALL:
        for metric in by_source.get(classic.source.name, ()):
            yield _source(classic, metric)


def _source(classic: Classic, metric: Metric) -> Source:
    points = _counts(metric.points) if classic.counts else metric.points
    seconds_or_bytes = {"s": "seconds", "By": "bytes"}.get(metric.unit, "")
    return Source(
        classic.name,
        classic.kind,
        "" if classic.counts else seconds_or_bytes,
        classic.help,
        metric.kind != "gauge",
        [(_labels(classic, point.attributes), point) for point in points if _has(classic, point)],
        () if classic.counts else bucket_bounds(metric),
    )


def _counts(points: Sequence[Point]) -> list[Point]:
    return [
        NumberPoint(point.attributes, point.count, point.start_ns, point.time_ns)
        for point in points
        if not isinstance(point, NumberPoint)
    ]


def _has(classic: Classic, point: Point) -> bool:
    return classic.only is None or classic.only in point.attributes


def _labels(classic: Classic, attributes: Attributes) -> Labels:
    values = dict(attributes)
    found = {label: label_value(values[key]) for label, key in classic.labels if key in values}
    if _OVERFLOW in values:
        found[label_name(_OVERFLOW)] = "true"
    return tuple(sorted(found.items()))
