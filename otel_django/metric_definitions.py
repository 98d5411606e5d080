"""Every built-in metric: its name, kind, unit, attributes and buckets.

OpenTelemetry's semantic conventions wherever one exists; names of our own start with ``django.``,
``celery.`` or ``otel_django.``. Durations are in seconds, and so are their buckets. Whoever
records gives the attributes' values in the order written here.
"""

from __future__ import annotations

from typing import Final

from otel_django import names
from otel_django.metric_points import MetricDefinition

# --- buckets
REQUEST_SECONDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0),
)
"""What the conventions advise for requests and for messages."""
DATABASE_SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""What the conventions advise for databases."""
CACHE_SECONDS: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0)
QUEUE_SECONDS: Final = (
    *(0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0),
    *(60.0, 300.0, 600.0, 1800.0, 3600.0),
)
COMMAND_SECONDS: Final = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0)
BODY_BYTES: Final = tuple(float(1 << exponent) for exponent in range(8, 28, 2))
"""256 bytes to 64 MiB."""
QUERY_COUNTS: Final = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)

# --- requests
_OF_REQUEST: Final = (
    names.HTTP_REQUEST_METHOD,
    names.URL_SCHEME,
    names.HTTP_ROUTE,
    names.HTTP_RESPONSE_STATUS_CODE,
    names.ERROR_TYPE,
)
HTTP_SERVER_REQUEST_DURATION: Final = MetricDefinition(
    "http.server.request.duration",
    "histogram",
    "s",
    "Time from a request's arrival until the last byte of its answer.",
    _OF_REQUEST,
    REQUEST_SECONDS,
)
HTTP_SERVER_ACTIVE_REQUESTS: Final = MetricDefinition(
    "http.server.active_requests",
    "up_down_counter",
    "{request}",
    "Requests that are being served.",
    (names.HTTP_REQUEST_METHOD, names.URL_SCHEME),
)
HTTP_SERVER_REQUEST_BODY_SIZE: Final = MetricDefinition(
    "http.server.request.body.size",
    "histogram",
    "By",
    "Size of request bodies.",
    _OF_REQUEST,
    BODY_BYTES,
)
HTTP_SERVER_RESPONSE_BODY_SIZE: Final = MetricDefinition(
    "http.server.response.body.size",
    "histogram",
    "By",
    "Size of response bodies.",
    _OF_REQUEST,
    BODY_BYTES,
)
DJANGO_REQUEST_DB_QUERIES: Final = MetricDefinition(
    "django.request.db.queries",
    "histogram",
    "{query}",
    "Database queries of one request.",
    (names.HTTP_ROUTE, names.HTTP_REQUEST_METHOD),
    QUERY_COUNTS,
)
DJANGO_REQUEST_DB_DURATION: Final = MetricDefinition(
    "django.request.db.duration",
    "histogram",
    "s",
    "Time that one request spent in database queries.",
    (names.HTTP_ROUTE, names.HTTP_REQUEST_METHOD),
    DATABASE_SECONDS,
)
DJANGO_EXCEPTIONS: Final = MetricDefinition(
    "django.exceptions",
    "counter",
    "{exception}",
    "Exceptions that the site's code did not catch.",
    (names.HTTP_ROUTE, names.ERROR_TYPE),
)

# --- databases
DB_CLIENT_OPERATION_DURATION: Final = MetricDefinition(
    "db.client.operation.duration",
    "histogram",
    "s",
    "Time of database calls.",
    (
        names.DB_SYSTEM_NAME,
        names.DB_NAMESPACE,
        names.DB_OPERATION_NAME,
        names.DB_COLLECTION_NAME,
        names.ERROR_TYPE,
    ),
    DATABASE_SECONDS,
)
DB_CLIENT_CONNECTION_COUNT: Final = MetricDefinition(
    "db.client.connection.count",
    "up_down_counter",
    "{connection}",
    "Open database connections, by what they do at the moment.",
    (names.DB_CLIENT_CONNECTION_STATE, names.DB_CLIENT_CONNECTION_POOL_NAME),
)
DJANGO_DB_CONNECTION_ERRORS: Final = MetricDefinition(
    "django.db.connection.errors",
    "counter",
    "{error}",
    "Attempts to connect to a database that failed.",
    (names.DJANGO_DB_ALIAS,),
)
DJANGO_DB_SLOW_QUERIES: Final = MetricDefinition(
    "django.db.slow_queries",
    "counter",
    "{query}",
    "Database queries that took at least `OTEL_DJANGO_SLOW_QUERY_MS`.",
    (names.DJANGO_DB_ALIAS,),
)

# --- caches
_OF_CACHE: Final = (
    names.DJANGO_CACHE_ALIAS,
    names.DJANGO_CACHE_OPERATION,
    names.DJANGO_CACHE_RESULT,
    names.DJANGO_CACHE_KEY_PREFIX,
)
DJANGO_CACHE_OPERATIONS: Final = MetricDefinition(
    "django.cache.operations",
    "counter",
    "{operation}",
    "Keys that cache operations dealt with, by what came of it.",
    _OF_CACHE,
)
DJANGO_CACHE_OPERATION_DURATION: Final = MetricDefinition(
    "django.cache.operation.duration",
    "histogram",
    "s",
    "Time of cache operations.",
    _OF_CACHE,
    CACHE_SECONDS,
)

# --- messages and tasks
_OF_MESSAGE: Final = (
    names.MESSAGING_OPERATION_NAME,
    names.MESSAGING_SYSTEM,
    names.MESSAGING_DESTINATION_NAME,
    names.CELERY_TASK_NAME,
    names.ERROR_TYPE,
)
_OF_TASK: Final = (names.CELERY_TASK_NAME, names.MESSAGING_DESTINATION_NAME)
MESSAGING_CLIENT_OPERATION_DURATION: Final = MetricDefinition(
    "messaging.client.operation.duration",
    "histogram",
    "s",
    "Time of sending a task to its broker.",
    _OF_MESSAGE,
    REQUEST_SECONDS,
)
MESSAGING_CLIENT_SENT_MESSAGES: Final = MetricDefinition(
    "messaging.client.sent.messages",
    "counter",
    "{message}",
    "Tasks that were sent to a broker.",
    _OF_MESSAGE,
)
MESSAGING_CLIENT_CONSUMED_MESSAGES: Final = MetricDefinition(
    "messaging.client.consumed.messages",
    "counter",
    "{message}",
    "Tasks that a worker took from a broker.",
    _OF_MESSAGE,
)
MESSAGING_PROCESS_DURATION: Final = MetricDefinition(
    "messaging.process.duration",
    "histogram",
    "s",
    "Time of running a task.",
    _OF_MESSAGE,
    REQUEST_SECONDS,
)
CELERY_TASK_EXECUTIONS: Final = MetricDefinition(
    "celery.task.executions",
    "counter",
    "{execution}",
    "Runs of tasks, by how they ended: success, failure, retry, revoked, rejected or ignored.",
    (*_OF_TASK, names.CELERY_TASK_STATE),
)
CELERY_TASK_QUEUE_WAIT: Final = MetricDefinition(
    "celery.task.queue_wait",
    "histogram",
    "s",
    "Time from sending a task, or from its eta, until it starts.",
    _OF_TASK,
    QUEUE_SECONDS,
)
CELERY_TASK_ACTIVE: Final = MetricDefinition(
    "celery.task.active", "up_down_counter", "{task}", "Tasks that are running.", _OF_TASK
)

# --- Celery from the outside
CELERY_QUEUE_LENGTH: Final = MetricDefinition(
    "celery.queue.length",
    "gauge",
    "{message}",
    "Messages that wait in a queue for a worker.",
    (names.MESSAGING_DESTINATION_NAME,),
)
CELERY_QUEUE_OLDEST_MESSAGE_AGE: Final = MetricDefinition(
    "celery.queue.oldest_message.age",
    "gauge",
    "s",
    "Time since the message that waits longest was sent, where that is known.",
    (names.MESSAGING_DESTINATION_NAME,),
)
CELERY_QUEUE_UNACKNOWLEDGED: Final = MetricDefinition(
    "celery.queue.unacknowledged",
    "gauge",
    "{message}",
    "Messages of all queues that workers have taken and not acknowledged, those with an eta "
    "included; where the broker tells, as Redis does.",
)
CELERY_WORKER_TASKS: Final = MetricDefinition(
    "celery.worker.tasks",
    "gauge",
    "{task}",
    "Tasks that a worker runs or has taken from the broker for later.",
    (names.CELERY_WORKER, names.CELERY_WORKER_TASK_STATE),
)
CELERY_WORKERS: Final = MetricDefinition(
    "celery.workers",
    "gauge",
    "{worker}",
    "Workers that are known, by state.",
    (names.CELERY_WORKER_STATE,),
)
CELERY_WORKER_LAST_HEARTBEAT: Final = MetricDefinition(
    "celery.worker.last_heartbeat",
    "gauge",
    "s",
    "When a worker was last heard of, in Unix time.",
    (names.CELERY_WORKER,),
)
CELERY_WORKER_RESPONSE_TIME: Final = MetricDefinition(
    "celery.worker.response_time",
    "gauge",
    "s",
    "Time from sending a task until an idle worker has it.",
    (names.CELERY_WORKER,),
)
CELERY_BEAT_MISSED_RUNS: Final = MetricDefinition(
    "celery.beat.missed_runs",
    "counter",
    "{run}",
    "Runs of beat's schedule that did not come when they were due.",
    (names.CELERY_BEAT_ENTRY,),
)

# --- databases, caches and APIs from the outside
DJANGO_DB_SIZE: Final = MetricDefinition(
    "django.db.size", "gauge", "By", "Size of a database.", (names.DJANGO_DB_ALIAS,)
)
DJANGO_DB_CONNECTION_UTILIZATION: Final = MetricDefinition(
    "django.db.connection.utilization",
    "gauge",
    "1",
    "Share of the connections that a database's server allows which is in use, whoever uses them.",
    (names.DJANGO_DB_ALIAS,),
)
REDIS_MEMORY_USED: Final = MetricDefinition(
    "redis.memory.used",
    "gauge",
    "By",
    "Memory that the Redis server of a cache has allocated.",
    (names.DJANGO_CACHE_ALIAS,),
)
REDIS_KEYS: Final = MetricDefinition(
    "redis.keys",
    "gauge",
    "{key}",
    "Keys in the Redis database of a cache, whoever has set them.",
    (names.DJANGO_CACHE_ALIAS,),
)
REDIS_KEYS_EXPIRING: Final = MetricDefinition(
    "redis.keys.expiring",
    "gauge",
    "{key}",
    "Those of them that expire.",
    (names.DJANGO_CACHE_ALIAS,),
)
REDIS_EVICTIONS: Final = MetricDefinition(
    "redis.evictions",
    "gauge",
    "{key}",
    "Keys that the Redis server of a cache has thrown out for want of memory since it began.",
    (names.DJANGO_CACHE_ALIAS,),
)

OBSERVED: Final = (
    CELERY_QUEUE_LENGTH,
    CELERY_QUEUE_OLDEST_MESSAGE_AGE,
    CELERY_QUEUE_UNACKNOWLEDGED,
    CELERY_WORKER_TASKS,
    CELERY_WORKERS,
    CELERY_WORKER_LAST_HEARTBEAT,
    CELERY_WORKER_RESPONSE_TIME,
    DJANGO_DB_SIZE,
    DJANGO_DB_CONNECTION_UTILIZATION,
    REDIS_MEMORY_USED,
    REDIS_KEYS,
    REDIS_KEYS_EXPIRING,
    REDIS_EVICTIONS,
)
"""What observers see."""

DJANGO_API_REQUESTS: Final = MetricDefinition(
    "django.api.requests",
    "counter",
    "{request}",
    "Requests to routes that `OTEL_DJANGO_API_ROUTES` names.",
    (names.HTTP_ROUTE,),
)
DJANGO_API_THROTTLED: Final = MetricDefinition(
    "django.api.throttled",
    "counter",
    "{request}",
    "Those of them that were answered with 429, or refused by a throttle of Django REST framework.",
    (names.HTTP_ROUTE,),
)
DJANGO_API_ACTIVE_CLIENTS: Final = MetricDefinition(
    "django.api.active_clients",
    "gauge",
    "{client}",
    "Users, tokens and addresses that these requests came from, each counted once a host.",
    (names.DJANGO_API_WINDOW,),
)

# --- health
HEALTH_CHECK_STATUS: Final = MetricDefinition(
    "health.check.status",
    "gauge",
    "{status}",
    "What a health check found within the last minute: 1 healthy, 0.5 degraded, 0 unhealthy.",
    (names.HEALTH_CHECK_NAME, names.HEALTH_CHECK_INSTANCE, names.HEALTH_CHECK_GROUP),
)
HEALTH_CHECK_DURATION: Final = MetricDefinition(
    "health.check.duration",
    "histogram",
    "s",
    "Time of running a health check.",
    (names.HEALTH_CHECK_NAME, names.HEALTH_CHECK_GROUP),
    DATABASE_SECONDS,
)
HEALTH_SCORE: Final = MetricDefinition(
    "health.score",
    "gauge",
    "{point}",
    "From 0 to 100: the mean of a group's checks (healthy 100, degraded 50, unhealthy 0), critical "
    "ones counted three times.",
    (names.HEALTH_CHECK_GROUP,),
)

# --- alerts
ALERTS_FIRING: Final = MetricDefinition(
    "alerts.firing",
    "gauge",
    "{alert}",
    "Alerts that fire, told by the process that evaluates them.",
    (names.ALERT_SEVERITY,),
)
ALERTS_NOTIFICATIONS: Final = MetricDefinition(
    "alerts.notifications",
    "counter",
    "{notification}",
    "Attempts to send a notification of alerts.",
    (names.ALERT_CHANNEL, names.ALERT_RESULT),
)

# --- management commands
DJANGO_COMMAND_DURATION: Final = MetricDefinition(
    "django.command.duration",
    "histogram",
    "s",
    "Time of management commands.",
    (names.DJANGO_COMMAND_NAME, names.ERROR_TYPE),
    COMMAND_SECONDS,
)

# --- the processes of one role, summed
PROCESS_CPU_TIME: Final = MetricDefinition(
    "process.cpu.time", "counter", "s", "CPU time that was used.", (names.CPU_MODE,)
)
PROCESS_MEMORY_USAGE: Final = MetricDefinition(
    "process.memory.usage", "up_down_counter", "By", "Physical memory in use."
)
PROCESS_MEMORY_VIRTUAL: Final = MetricDefinition(
    "process.memory.virtual", "up_down_counter", "By", "Virtual memory that is committed."
)
PROCESS_THREAD_COUNT: Final = MetricDefinition(
    "process.thread.count", "up_down_counter", "{thread}", "Threads."
)
PROCESS_UNIX_FILE_DESCRIPTOR_COUNT: Final = MetricDefinition(
    "process.unix.file_descriptor.count",
    "up_down_counter",
    "{file_descriptor}",
    "Open file descriptors.",
)
PROCESS_CONTEXT_SWITCHES: Final = MetricDefinition(
    "process.context_switches",
    "counter",
    "{context_switch}",
    "Context switches.",
    (names.PROCESS_CONTEXT_SWITCH_TYPE,),
)
CPYTHON_GC_COLLECTIONS: Final = MetricDefinition(
    "cpython.gc.collections",
    "counter",
    "{collection}",
    "Runs of the garbage collector.",
    (names.CPYTHON_GC_GENERATION,),
)
CPYTHON_GC_COLLECTED_OBJECTS: Final = MetricDefinition(
    "cpython.gc.collected_objects",
    "counter",
    "{object}",
    "Objects that the garbage collector freed.",
    (names.CPYTHON_GC_GENERATION,),
)
CPYTHON_GC_UNCOLLECTABLE_OBJECTS: Final = MetricDefinition(
    "cpython.gc.uncollectable_objects",
    "counter",
    "{object}",
    "Objects that the garbage collector could not free.",
    (names.CPYTHON_GC_GENERATION,),
)

# --- the host
SYSTEM_CPU_UTILIZATION: Final = MetricDefinition(
    "system.cpu.utilization", "gauge", "1", "Share of all CPUs' time.", (names.CPU_MODE,)
)
SYSTEM_CPU_LOAD_AVERAGE_1M: Final = MetricDefinition(
    "system.cpu.load_average.1m", "gauge", "{thread}", "Load average over one minute."
)
SYSTEM_CPU_LOAD_AVERAGE_5M: Final = MetricDefinition(
    "system.cpu.load_average.5m", "gauge", "{thread}", "Load average over five minutes."
)
SYSTEM_CPU_LOAD_AVERAGE_15M: Final = MetricDefinition(
    "system.cpu.load_average.15m", "gauge", "{thread}", "Load average over fifteen minutes."
)
SYSTEM_MEMORY_LIMIT: Final = MetricDefinition(
    "system.memory.limit", "up_down_counter", "By", "Physical memory of the host."
)
SYSTEM_MEMORY_USAGE: Final = MetricDefinition(
    "system.memory.usage",
    "up_down_counter",
    "By",
    "Physical memory by state.",
    (names.SYSTEM_MEMORY_STATE,),
)
SYSTEM_MEMORY_UTILIZATION: Final = MetricDefinition(
    "system.memory.utilization",
    "gauge",
    "1",
    "Share of the physical memory by state.",
    (names.SYSTEM_MEMORY_STATE,),
)
SYSTEM_MEMORY_LINUX_AVAILABLE: Final = MetricDefinition(
    "system.memory.linux.available",
    "up_down_counter",
    "By",
    "Memory that programs can have without swapping.",
)
_OF_FILESYSTEM: Final = (
    names.SYSTEM_DEVICE,
    names.SYSTEM_FILESYSTEM_MOUNTPOINT,
    names.SYSTEM_FILESYSTEM_STATE,
)
SYSTEM_FILESYSTEM_USAGE: Final = MetricDefinition(
    "system.filesystem.usage",
    "up_down_counter",
    "By",
    "Space of a file system by state.",
    _OF_FILESYSTEM,
)
SYSTEM_FILESYSTEM_UTILIZATION: Final = MetricDefinition(
    "system.filesystem.utilization",
    "gauge",
    "1",
    "Share of a file system that is used.",
    _OF_FILESYSTEM[:2],
)
SYSTEM_DISK_IO: Final = MetricDefinition(
    "system.disk.io",
    "counter",
    "By",
    "Bytes read from and written to disks.",
    (names.SYSTEM_DEVICE, names.DISK_IO_DIRECTION),
)
SYSTEM_NETWORK_IO: Final = MetricDefinition(
    "system.network.io",
    "counter",
    "By",
    "Bytes received and sent.",
    (names.NETWORK_INTERFACE_NAME, names.NETWORK_IO_DIRECTION),
)

# --- this package's own work
_OF_COMPONENT: Final = (names.OTEL_COMPONENT_TYPE, names.OTEL_COMPONENT_NAME)
_OF_WORK: Final = (*_OF_COMPONENT, names.ERROR_TYPE)
OTEL_SDK_LOG_CREATED: Final = MetricDefinition(
    "otel.sdk.log.created", "counter", "{log_record}", "Log records that were made."
)
OTEL_SDK_PROCESSOR_SPAN_PROCESSED: Final = MetricDefinition(
    "otel.sdk.processor.span.processed",
    "counter",
    "{span}",
    "Spans that left the queue, or with `error.type` were lost before.",
    _OF_WORK,
)
OTEL_SDK_PROCESSOR_SPAN_QUEUE_SIZE: Final = MetricDefinition(
    "otel.sdk.processor.span.queue.size",
    "up_down_counter",
    "{span}",
    "Spans in the queue.",
    _OF_COMPONENT,
)
OTEL_SDK_PROCESSOR_SPAN_QUEUE_CAPACITY: Final = MetricDefinition(
    "otel.sdk.processor.span.queue.capacity",
    "up_down_counter",
    "{span}",
    "How many spans the queue may hold.",
    _OF_COMPONENT,
)
OTEL_SDK_PROCESSOR_LOG_PROCESSED: Final = MetricDefinition(
    "otel.sdk.processor.log.processed",
    "counter",
    "{log_record}",
    "Log records that left the queue, or with `error.type` were lost before.",
    _OF_WORK,
)
OTEL_SDK_PROCESSOR_LOG_QUEUE_SIZE: Final = MetricDefinition(
    "otel.sdk.processor.log.queue.size",
    "up_down_counter",
    "{log_record}",
    "Log records in the queue.",
    _OF_COMPONENT,
)
OTEL_SDK_PROCESSOR_LOG_QUEUE_CAPACITY: Final = MetricDefinition(
    "otel.sdk.processor.log.queue.capacity",
    "up_down_counter",
    "{log_record}",
    "How many log records the queue may hold.",
    _OF_COMPONENT,
)
OTEL_SDK_EXPORTER_SPAN_INFLIGHT: Final = MetricDefinition(
    "otel.sdk.exporter.span.inflight",
    "up_down_counter",
    "{span}",
    "Spans that the exporter holds.",
    _OF_COMPONENT,
)
OTEL_SDK_EXPORTER_SPAN_EXPORTED: Final = MetricDefinition(
    "otel.sdk.exporter.span.exported",
    "counter",
    "{span}",
    "Spans that were delivered, or with `error.type` were not.",
    _OF_WORK,
)
OTEL_SDK_EXPORTER_LOG_INFLIGHT: Final = MetricDefinition(
    "otel.sdk.exporter.log.inflight",
    "up_down_counter",
    "{log_record}",
    "Log records that the exporter holds.",
    _OF_COMPONENT,
)
OTEL_SDK_EXPORTER_LOG_EXPORTED: Final = MetricDefinition(
    "otel.sdk.exporter.log.exported",
    "counter",
    "{log_record}",
    "Log records that were delivered, or with `error.type` were not.",
    _OF_WORK,
)
OTEL_SDK_EXPORTER_OPERATION_DURATION: Final = MetricDefinition(
    "otel.sdk.exporter.operation.duration",
    "histogram",
    "s",
    "Time of exporting a batch.",
    _OF_WORK,
    REQUEST_SECONDS,
)
OTEL_SDK_METRIC_READER_COLLECTION_DURATION: Final = MetricDefinition(
    "otel.sdk.metric_reader.collection.duration",
    "histogram",
    "s",
    "Time of collecting the metrics.",
    _OF_WORK,
    DATABASE_SECONDS,
)
OTEL_DJANGO_DROPPED: Final = MetricDefinition(
    "otel_django.dropped",
    "counter",
    "{item}",
    "Spans, points and log records that were lost.",
    (names.OTEL_DJANGO_SIGNAL, names.OTEL_DJANGO_CAUSE),
)
OTEL_DJANGO_METRIC_OVERFLOWS: Final = MetricDefinition(
    "otel_django.metric.overflows",
    "counter",
    "{measurement}",
    "Measurements beyond `OTEL_DJANGO_CARDINALITY_LIMIT` of a metric.",
    (names.OTEL_DJANGO_METRIC,),
)
OTEL_DJANGO_OVERHEAD_RATIO: Final = MetricDefinition(
    "otel_django.overhead.ratio",
    "gauge",
    "1",
    "Share of a processor that telemetry takes; of all that the process takes, if that is more.",
)
DOCTOR_PROBE: Final = MetricDefinition(
    "otel_django.doctor.probe",
    "gauge",
    "s",
    "When `manage.py otel doctor` was last here, in Unix time.",
)
OBSERVER_FAILURES: Final = MetricDefinition(
    "otel_django.observer.failures",
    "counter",
    "{failure}",
    "Looks at something outside, such as a broker, that failed or took too long.",
    (names.OTEL_DJANGO_OBSERVER, names.ERROR_TYPE),
)

ALL: Final[tuple[MetricDefinition, ...]] = tuple(
    value for value in list(globals().values()) if isinstance(value, MetricDefinition)
)
