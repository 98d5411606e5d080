"""Every telemetry name: spans, attributes and log events.

OpenTelemetry's semantic conventions wherever one exists; names of our own start with ``django.``,
``celery.`` or ``otel_django.``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SCOPE: Final = "otel_django"

# --- resource
SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
DEPLOYMENT_ENVIRONMENT_NAME: Final = "deployment.environment.name"
HOST_NAME: Final = "host.name"
PROCESS_PID: Final = "process.pid"
PROCESS_COMMAND: Final = "process.command"
TELEMETRY_DISTRO_NAME: Final = "telemetry.distro.name"
TELEMETRY_DISTRO_VERSION: Final = "telemetry.distro.version"
PROCESS_ROLE: Final = "otel_django.process.role"

# --- the probe of `manage.py otel doctor`
DOCTOR_SPAN: Final = "otel doctor"
DOCTOR_LOG: Final = "otel.doctor"

# --- any span
ERROR_TYPE: Final = "error.type"
EXCEPTION_EVENT: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
CODE_FILE_PATH: Final = "code.file.path"
CODE_LINE_NUMBER: Final = "code.line.number"
CODE_FUNCTION_NAME: Final = "code.function.name"
CODE_STACKTRACE: Final = "code.stacktrace"
DJANGO_TEMPLATE_NAME: Final = "django.template.name"
DJANGO_TEMPLATE_LINE: Final = "django.template.line"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

# --- HTTP server
HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_REQUEST_METHOD_ORIGINAL: Final = "http.request.method_original"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
HTTP_ROUTE: Final = "http.route"
URL_PATH: Final = "url.path"
URL_SCHEME: Final = "url.scheme"
CLIENT_ADDRESS: Final = "client.address"
NETWORK_PEER_ADDRESS: Final = "network.peer.address"
NETWORK_PROTOCOL_VERSION: Final = "network.protocol.version"
USER_AGENT_ORIGINAL: Final = "user_agent.original"
DJANGO_VIEW: Final = "django.view"
DJANGO_URL_NAME: Final = "django.url_name"
DJANGO_APP: Final = "django.app"
DJANGO_REQUEST_ID: Final = "django.request_id"
DJANGO_CLIENT_DISCONNECTED: Final = "django.client_disconnected"
HTTP_REQUEST_HEADER: Final = "http.request.header."  # + name, in lower case
HTTP_RESPONSE_HEADER: Final = "http.response.header."
USER_ID: Final = "user.id"
USER_HASH: Final = "user.hash"

# --- first words of span names with OTEL_DJANGO_DETAIL=full
MIDDLEWARE_SPAN: Final = "middleware"
VIEW_SPAN: Final = "view"
TEMPLATE_SPAN: Final = "template"
FORM_SPAN: Final = "form"
RECEIVER_SPAN: Final = "receiver"

# --- database
DB_SYSTEM_NAME: Final = "db.system.name"
DB_NAMESPACE: Final = "db.namespace"
DB_OPERATION_NAME: Final = "db.operation.name"
DB_COLLECTION_NAME: Final = "db.collection.name"
DB_QUERY_SUMMARY: Final = "db.query.summary"
DB_QUERY_TEXT: Final = "db.query.text"
DB_OPERATION_BATCH_SIZE: Final = "db.operation.batch.size"
DB_RESPONSE_STATUS_CODE: Final = "db.response.status_code"
DB_RESPONSE_RETURNED_ROWS: Final = "db.response.returned_rows"
DB_STORED_PROCEDURE_NAME: Final = "db.stored_procedure.name"
DJANGO_DB_ALIAS: Final = "django.db.alias"
DJANGO_DB_FETCH_DURATION: Final = "django.db.fetch.duration"
DJANGO_DB_FETCH_COUNT: Final = "django.db.fetch.count"
N_PLUS_ONE_EVENT: Final = "django.db.n_plus_one"
N_PLUS_ONE_COUNT: Final = "django.db.n_plus_one.count"
N_PLUS_ONE_DURATION: Final = "django.db.n_plus_one.duration"
DB_CLIENT_CONNECTION_STATE: Final = "db.client.connection.state"
DB_CLIENT_CONNECTION_POOL_NAME: Final = "db.client.connection.pool.name"

# --- cache
DJANGO_CACHE_ALIAS: Final = "django.cache.alias"
DJANGO_CACHE_BACKEND: Final = "django.cache.backend"
DJANGO_CACHE_OPERATION: Final = "django.cache.operation"
DJANGO_CACHE_HIT: Final = "django.cache.hit"
DJANGO_CACHE_HITS: Final = "django.cache.hits"
DJANGO_CACHE_COUNT: Final = "django.cache.count"
DJANGO_CACHE_KEY_PREFIX: Final = "django.cache.key_prefix"
DJANGO_CACHE_RESULT: Final = "django.cache.result"

# --- messaging and tasks
MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_DESTINATION_NAME: Final = "messaging.destination.name"
MESSAGING_OPERATION_NAME: Final = "messaging.operation.name"
MESSAGING_OPERATION_TYPE: Final = "messaging.operation.type"
MESSAGING_MESSAGE_ID: Final = "messaging.message.id"
SEND_SPAN: Final = "send"
PROCESS_SPAN: Final = "process"
CELERY_TASK_NAME: Final = "celery.task.name"
CELERY_TASK_STATE: Final = "celery.task.state"
CELERY_TASK_RETRIES: Final = "celery.task.retries"
CELERY_TASK_RETRY_REASON: Final = "celery.task.retry.reason"
CELERY_TASK_REVOKE_REASON: Final = "celery.task.revoke.reason"
CELERY_TASK_QUEUE_WAIT: Final = "celery.task.queue_wait"
CELERY_TASK_ETA: Final = "celery.task.eta"
CELERY_TASK_COUNTDOWN: Final = "celery.task.countdown"
CELERY_TASK_EXPIRES: Final = "celery.task.expires"
CELERY_TASK_PRIORITY: Final = "celery.task.priority"
CELERY_TASK_ROOT_ID: Final = "celery.task.root_id"
CELERY_TASK_PARENT_ID: Final = "celery.task.parent_id"
CELERY_TASK_GROUP_ID: Final = "celery.task.group_id"
CELERY_TASK_EAGER: Final = "celery.task.eager"
CELERY_WORKER: Final = "celery.worker"
CELERY_WORKER_STATE: Final = "celery.worker.state"
CELERY_WORKER_TASK_STATE: Final = "celery.worker.task.state"
CELERY_BEAT_ENTRY: Final = "celery.beat.entry"
DJANGO_TASK_NAME: Final = "django.task.name"
DJANGO_TASK_BACKEND: Final = "django.task.backend"
DJANGO_TASK_STATUS: Final = "django.task.status"
DJANGO_TASK_PRIORITY: Final = "django.task.priority"
DJANGO_TASK_RUN_AFTER: Final = "django.task.run_after"
DJANGO_TASK_ATTEMPT: Final = "django.task.attempt"
DJANGO_TASK_QUEUE_WAIT: Final = "django.task.queue_wait"

# --- health checks
HEALTH_SPAN: Final = "health"
HEALTH_CHECK_NAME: Final = "health.check.name"
HEALTH_CHECK_INSTANCE: Final = "health.check.instance"
HEALTH_CHECK_GROUP: Final = "health.check.group"
HEALTH_CHECK_CRITICAL: Final = "health.check.critical"
HEALTH_CHECK_STATUS: Final = "health.check.status"
HEALTH_CHECK_STATUS_BEFORE: Final = "health.check.status_before"
ALERT_RULE: Final = "alert.rule"
ALERT_SEVERITY: Final = "alert.severity"
ALERT_FINGERPRINT: Final = "alert.fingerprint"
ALERT_VALUE: Final = "alert.value"
ALERT_BY: Final = "alert.by"
ALERT_CHANNEL: Final = "alert.channel"
ALERT_RESULT: Final = "alert.result"

# --- management commands
COMMAND_SPAN: Final = "command"
DJANGO_COMMAND_NAME: Final = "django.command.name"
PROCESS_EXIT_CODE: Final = "process.exit.code"

# --- processes, the host, telemetry itself: in metrics only
CPU_MODE: Final = "cpu.mode"
DJANGO_API_WINDOW: Final = "django.api.window"
CPYTHON_GC_GENERATION: Final = "cpython.gc.generation"
DISK_IO_DIRECTION: Final = "disk.io.direction"
NETWORK_INTERFACE_NAME: Final = "network.interface.name"
NETWORK_IO_DIRECTION: Final = "network.io.direction"
PROCESS_CONTEXT_SWITCH_TYPE: Final = "process.context_switch.type"
SYSTEM_DEVICE: Final = "system.device"
SYSTEM_FILESYSTEM_MOUNTPOINT: Final = "system.filesystem.mountpoint"
SYSTEM_FILESYSTEM_STATE: Final = "system.filesystem.state"
SYSTEM_MEMORY_STATE: Final = "system.memory.state"
OTEL_COMPONENT_TYPE: Final = "otel.component.type"
OTEL_COMPONENT_NAME: Final = "otel.component.name"
OTEL_DJANGO_SIGNAL: Final = "otel_django.signal"
OTEL_DJANGO_CAUSE: Final = "otel_django.cause"
OTEL_DJANGO_METRIC: Final = "otel_django.metric"
OTEL_DJANGO_OBSERVER: Final = "otel_django.observer"

# --- in events only
CELERY_QUEUE_LENGTH: Final = "celery.queue.length"
CELERY_QUEUE_LENGTH_BEFORE: Final = "celery.queue.length_before"

# --- fields of log events
DURATION: Final = "duration"
MESSAGE: Final = "message"
HTTP_REQUEST_BODY_SIZE: Final = "http.request.body.size"
HTTP_RESPONSE_BODY_SIZE: Final = "http.response.body.size"
DB_QUERIES: Final = "django.request.db.queries"
DB_DURATION: Final = "django.request.db.duration"
DJANGO_MODEL: Final = "django.model"
DJANGO_MODEL_ID: Final = "django.model.id"

# --- log events, past tense
REQUEST_FINISHED: Final = "request.finished"
TASK_RECEIVED: Final = "task.received"
TASK_STARTED: Final = "task.started"
TASK_SUCCEEDED: Final = "task.succeeded"
TASK_FAILED: Final = "task.failed"
TASK_RETRIED: Final = "task.retried"
TASK_REVOKED: Final = "task.revoked"
TASK_REJECTED: Final = "task.rejected"
TASK_IGNORED: Final = "task.ignored"
QUEUE_BACKLOG_GREW: Final = "queue.backlog.grew"
COMMAND_FINISHED: Final = "command.finished"
QUERY_SLOW: Final = "query.slow"
QUERY_REPEATED: Final = "query.repeated"
MODEL_CREATED: Final = "model.created"
MODEL_UPDATED: Final = "model.updated"
MODEL_DELETED: Final = "model.deleted"
LOGIN_SUCCEEDED: Final = "security.login.succeeded"
LOGIN_FAILED: Final = "security.login.failed"
PERMISSION_DENIED: Final = "security.permission.denied"
SUSPICIOUS_OPERATION: Final = "security.suspicious_operation"
CSRF_FAILED: Final = "security.csrf.failed"
HEALTH_CHECK_CHANGED: Final = "health.check.changed"
ALERT_FIRED: Final = "alert.fired"
ALERT_RESOLVED: Final = "alert.resolved"
ALERT_ACKNOWLEDGED: Final = "alert.acknowledged"
TELEMETRY_DROPPED: Final = "telemetry.dropped"
TELEMETRY_REJECTED: Final = "telemetry.rejected"
TELEMETRY_REDUCED: Final = "telemetry.reduced"
TELEMETRY_RESTORED: Final = "telemetry.restored"
DELIVERY_FAILED: Final = "telemetry.delivery_failed"
DELIVERY_RESUMED: Final = "telemetry.delivery_resumed"

# --- what they mean: docs/reference/telemetry.md is generated from here


class SpanShape(NamedTuple):
    """One kind of span; ``attributes`` is its heading in ``ATTRIBUTES``, "" for none of its own."""

    what: str
    name: str
    kind: str
    when: str
    attributes: str = ""


_OF_REQUESTS: Final = "Attributes of requests"
_OF_QUERIES: Final = "Attributes of queries"
_OF_CACHE: Final = "Attributes of cache operations"
_OF_MESSAGES: Final = "Attributes of tasks, sent or processed"
_OF_CELERY: Final = "Attributes of Celery's tasks"
_OF_DJANGO_TASKS: Final = "Attributes of tasks of Django's tasks framework"
_OF_COMMANDS: Final = "Attributes of management commands"
_OF_HEALTH: Final = "Attributes of health checks"
_IN_DETAIL: Final = "With `OTEL_DJANGO_DETAIL=full`."

SPANS: Final = (
    SpanShape(
        "Request",
        "`{method} {route}`, or `{method}` without a route",
        "SERVER",
        "Every request, until the last byte of the answer is sent or the client is gone. Requests "
        "that are refused early have one too; health and metrics paths have none.",
        _OF_REQUESTS,
    ),
    SpanShape("Middleware", f"`{MIDDLEWARE_SPAN} {{path}}`", "INTERNAL", _IN_DETAIL),
    SpanShape("View", f"`{VIEW_SPAN} {{path}}`", "INTERNAL", _IN_DETAIL),
    SpanShape("Template", f"`{TEMPLATE_SPAN} {{name}}`", "INTERNAL", _IN_DETAIL),
    SpanShape("Form validation", f"`{FORM_SPAN} {{path}}`", "INTERNAL", _IN_DETAIL),
    SpanShape("Signal receiver", f"`{RECEIVER_SPAN} {{path}}`", "INTERNAL", _IN_DETAIL),
    SpanShape(
        "Query",
        "the query's summary, such as `SELECT shop_book`",
        "CLIENT",
        "Every statement of a recorded request, batches, server-side cursors, stored procedures "
        "and COPY included; connecting, BEGIN, COMMIT, ROLLBACK and savepoints too.",
        _OF_QUERIES,
    ),
    SpanShape(
        "Cache operation",
        "`{operation} {alias}`",
        "CLIENT",
        "Every operation of a recorded request on one of Django's caches.",
        _OF_CACHE,
    ),
    SpanShape(
        "Celery task, sent",
        f"`{SEND_SPAN} {{task}}`",
        "PRODUCER",
        "Every task handed to the broker, from a request, a task, a command or beat; ends when the "
        "broker has it, or fails.",
        _OF_CELERY,
    ),
    SpanShape(
        "Celery task, processed",
        f"`{PROCESS_SPAN} {{task}}`",
        "CONSUMER",
        "Every run of a task: the child of the span that sent it, or the root of a trace with a "
        "link to that span where it was delayed for longer than `OTEL_DJANGO_CELERY_LINK_AFTER` "
        "or came from beat. INTERNAL for a task that runs eagerly. Tasks that were revoked, "
        "expired, stopped by a time limit or lost with their process have one too.",
        _OF_CELERY,
    ),
    SpanShape(
        "Task of Django's framework, sent",
        f"`{SEND_SPAN} {{task}}`",
        "PRODUCER",
        "Every `enqueue`.",
        _OF_DJANGO_TASKS,
    ),
    SpanShape(
        "Task of Django's framework, processed",
        f"`{PROCESS_SPAN} {{task}}`",
        "CONSUMER",
        "Every run; linked to the span that sent it where the default cache is shared.",
        _OF_DJANGO_TASKS,
    ),
    SpanShape(
        "Management command",
        f"`{COMMAND_SPAN} {{name}}`",
        "INTERNAL",
        "The project's own commands, and those that `OTEL_DJANGO_COMMANDS` names.",
        _OF_COMMANDS,
    ),
    SpanShape(
        "Health check",
        f"`{HEALTH_SPAN} {{check}}`",
        "INTERNAL",
        "A run of a health check that failed or took longer than `OTEL_DJANGO_SLOW_REQUEST_MS`, as "
        "a trace of its own; nothing is recorded below it. Results that are shared or cached have "
        "none, nor have runs in `run_monitoring`: probes that find all well leave no traces.",
        _OF_HEALTH,
    ),
    SpanShape(
        "Span of your own",
        "as given",
        "as given",
        "Where your code starts one: `span`, `traced`, or OpenTelemetry's API.",
    ),
)

ATTRIBUTES: Final = {
    "Resource": {
        SERVICE_NAME: "The service: OTEL_SERVICE_NAME, else the package of the settings module.",
        SERVICE_VERSION: "The git revision of the project, unless you say otherwise.",
        SERVICE_INSTANCE_ID: "The process; new after each fork.",
        DEPLOYMENT_ENVIRONMENT_NAME: "Such as `production`, if OTEL_RESOURCE_ATTRIBUTES says so.",
        HOST_NAME: "The machine.",
        PROCESS_PID: "The process's number.",
        PROCESS_COMMAND: "The command that runs, without its arguments.",
        TELEMETRY_DISTRO_NAME: f"Always `{SCOPE}`.",
        TELEMETRY_DISTRO_VERSION: "The version of this package.",
        PROCESS_ROLE: "Of metrics: what the processes do that were added up (web, worker, beat, "
        "command, other), or host for what is measured of the host itself.",
    },
    "Attributes of any span": {
        ERROR_TYPE: "What failed: the exception's class, or the status of a 5xx answer.",
        CODE_FILE_PATH: "The file, in your project, of the line that ran a slow or repeated query.",
        CODE_LINE_NUMBER: "That line.",
        CODE_FUNCTION_NAME: "The function that line is in; of a `traced` function, its full name.",
        DJANGO_TEMPLATE_NAME: "The template that ran it, if it was one.",
        DJANGO_TEMPLATE_LINE: "The template's line.",
    },
    _OF_REQUESTS: {
        HTTP_REQUEST_METHOD: "The method, or `_OTHER` for one outside the standards.",
        HTTP_REQUEST_METHOD_ORIGINAL: "The method as it came, where it differs.",
        HTTP_RESPONSE_STATUS_CODE: "The status of the answer.",
        HTTP_ROUTE: "The URL pattern with all its includes, starting with `/`.",
        URL_PATH: "The path, without the query string; parts that look like secrets are masked.",
        URL_SCHEME: "`http` or `https`.",
        SERVER_ADDRESS: "The host that was asked for; of a query, the database's host.",
        SERVER_PORT: "Its port.",
        CLIENT_ADDRESS: "The client's address, behind proxies the one they vouch for.",
        NETWORK_PEER_ADDRESS: "The address that connected, where it is another one.",
        NETWORK_PROTOCOL_VERSION: "The version of HTTP.",
        USER_AGENT_ORIGINAL: "The client's User-Agent.",
        DJANGO_VIEW: "The view's dotted path.",
        DJANGO_URL_NAME: "The URL's name, with its namespaces.",
        DJANGO_APP: "The label of the view's app.",
        DJANGO_REQUEST_ID: "The X-Request-ID, taken from a trusted caller or made.",
        DJANGO_CLIENT_DISCONNECTED: "`true` if the client left before the answer was sent.",
        HTTP_REQUEST_HEADER: "A request header, if OpenTelemetry's variable names it.",
        HTTP_RESPONSE_HEADER: "A response header, likewise.",
        USER_ID: "The user's primary key, with `OTEL_DJANGO_USER_ID=plain`.",
        USER_HASH: "A keyed hash of it, with `OTEL_DJANGO_USER_ID=hash`.",
    },
    _OF_QUERIES: {
        DB_SYSTEM_NAME: "The kind of database, such as `postgresql`.",
        DB_NAMESPACE: "The database's name.",
        DB_OPERATION_NAME: "The statement's first word, such as `SELECT`.",
        DB_COLLECTION_NAME: "The table, if there is one.",
        DB_QUERY_SUMMARY: "Operations and tables in short: `SELECT shop_book`.",
        DB_QUERY_TEXT: "The statement with placeholders: never a value.",
        DB_OPERATION_BATCH_SIZE: "How many statements a batch holds, from two on.",
        DB_RESPONSE_STATUS_CODE: "The database's code for an error, such as SQLSTATE `23505`.",
        DB_RESPONSE_RETURNED_ROWS: "How many rows a server-side cursor gave.",
        DB_STORED_PROCEDURE_NAME: "The stored procedure that is called.",
        DJANGO_DB_ALIAS: "The alias in DATABASES.",
        DJANGO_DB_FETCH_DURATION: "Seconds spent fetching rows after the query itself.",
        DJANGO_DB_FETCH_COUNT: "How many fetches that took.",
    },
    "Attributes of repeated queries (N+1), on the request and on each event": {
        N_PLUS_ONE_COUNT: "How often the same statement ran.",
        N_PLUS_ONE_DURATION: "Seconds all of it took.",
    },
    _OF_CACHE: {
        DJANGO_CACHE_ALIAS: "The alias in CACHES.",
        DJANGO_CACHE_BACKEND: "The backend's class.",
        DJANGO_CACHE_OPERATION: "What is done, such as `get_many`.",
        DJANGO_CACHE_HIT: "Whether the key was there.",
        DJANGO_CACHE_HITS: "How many of several keys were there.",
        DJANGO_CACHE_COUNT: "How many keys were asked for.",
        DJANGO_CACHE_KEY_PREFIX: "The key up to its first separator; never the whole key.",
    },
    _OF_MESSAGES: {
        MESSAGING_SYSTEM: "The broker's kind: `redis`, `rabbitmq`, `filesystem`; `django_tasks` "
        "for Django's tasks framework.",
        MESSAGING_DESTINATION_NAME: "The queue.",
        MESSAGING_OPERATION_NAME: f"`{SEND_SPAN}` or `{PROCESS_SPAN}`.",
        MESSAGING_OPERATION_TYPE: "The same, as the conventions' kinds of operations.",
        MESSAGING_MESSAGE_ID: "The task's id.",
    },
    _OF_CELERY: {
        CELERY_TASK_NAME: "The task's name.",
        CELERY_TASK_STATE: "How the run ended: SUCCESS, FAILURE, RETRY, REVOKED, REJECTED or "
        "IGNORED.",
        CELERY_TASK_RETRIES: "How often it was tried before, if it was.",
        CELERY_TASK_RETRY_REASON: "Why it will be tried again: the exception's class and its text "
        "without secrets.",
        CELERY_TASK_REVOKE_REASON: "Why it was given up: `revoked` or `expired` before it started, "
        "`terminated` while it ran.",
        CELERY_TASK_QUEUE_WAIT: "Seconds from sending, or from the eta where there is one, to the "
        "start.",
        CELERY_TASK_ETA: "When it is to run at the earliest, in ISO 8601.",
        CELERY_TASK_COUNTDOWN: "Seconds it was told to wait.",
        CELERY_TASK_EXPIRES: "When it is given up, in ISO 8601, or after how many seconds.",
        CELERY_TASK_PRIORITY: "Its priority, if other than 0.",
        CELERY_TASK_ROOT_ID: "The id of the task that began its chain of tasks, if another one.",
        CELERY_TASK_PARENT_ID: "The id of the task that sent it, if one did.",
        CELERY_TASK_GROUP_ID: "The id of its group or chord, if it is in one.",
        CELERY_TASK_EAGER: "`true` where it ran in place, without a broker.",
        CELERY_WORKER: "The worker's node name, such as `celery@host`.",
        CELERY_BEAT_ENTRY: "The entry of beat's schedule that sent it.",
    },
    _OF_DJANGO_TASKS: {
        DJANGO_TASK_NAME: "The task's dotted path.",
        DJANGO_TASK_BACKEND: "The alias in TASKS.",
        DJANGO_TASK_STATUS: "How the run ended: SUCCESSFUL or FAILED.",
        DJANGO_TASK_PRIORITY: "Its priority, if not 0.",
        DJANGO_TASK_RUN_AFTER: "When it is to run at the earliest, in ISO 8601.",
        DJANGO_TASK_ATTEMPT: "Which run it is, from the second on.",
        DJANGO_TASK_QUEUE_WAIT: "Seconds from sending, or from `run_after` where there is one, to "
        "the start.",
    },
    _OF_COMMANDS: {
        DJANGO_COMMAND_NAME: "The command's name.",
        PROCESS_EXIT_CODE: "The code the process ends with; 0 is success.",
    },
    _OF_HEALTH: {
        HEALTH_CHECK_NAME: "The check.",
        HEALTH_CHECK_INSTANCE: "Which one of several that the check looks at, such as an alias, a "
        "queue or a path.",
        HEALTH_CHECK_GROUP: "The most urgent group that asks it: `live`, `ready`, `startup`, else "
        "`all`. Of the score: the group whose checks count.",
        HEALTH_CHECK_CRITICAL: "Whether its failure makes the whole unhealthy.",
        HEALTH_CHECK_STATUS: "What it found: `healthy`, `degraded` or `unhealthy`.",
    },
    f"Attributes of the event `{EXCEPTION_EVENT}`": {
        EXCEPTION_TYPE: "The exception's class.",
        EXCEPTION_MESSAGE: "Its text, without secrets.",
        EXCEPTION_STACKTRACE: "Its traceback, without local values.",
    },
    "Attributes that only log records have, besides those of request and task": {
        CODE_STACKTRACE: "Where it was written, if `stack_info` was asked for.",
        CELERY_QUEUE_LENGTH: "How many messages wait in the queue.",
        CELERY_QUEUE_LENGTH_BEFORE: "How many did when it began to grow.",
        DURATION: "How long it took, in seconds.",
        HEALTH_CHECK_STATUS_BEFORE: "What the check found before.",
        ALERT_RULE: "The alert rule.",
        ALERT_FINGERPRINT: "The same for the same rule, severity and labels.",
        ALERT_VALUE: "The value that was at fault last.",
        ALERT_BY: "Who acknowledged it.",
        MESSAGE: "What Django's logger, or the check, said of it.",
        HTTP_REQUEST_BODY_SIZE: "Bytes of the request's body, if it says so.",
        HTTP_RESPONSE_BODY_SIZE: "Bytes of the answer's body, if they are known.",
        DB_QUERIES: "How many database queries the request made.",
        DB_DURATION: "How long these took, in seconds.",
        DJANGO_MODEL: "The model, such as `shop.Order`.",
        DJANGO_MODEL_ID: "The object's primary key; of a user `user.hash` is told in its place.",
    },
    "Attributes that only metrics have": {
        DB_CLIENT_CONNECTION_STATE: "`idle`, or `used`: a request or task has it in hand.",
        DB_CLIENT_CONNECTION_POOL_NAME: "The alias in DATABASES.",
        DJANGO_CACHE_RESULT: "`hit` or `miss` of what was read; else what was done, such as "
        "`set`; `error`.",
        CELERY_WORKER_STATE: "Whether a worker is heard of and works: `online`, `stuck`, "
        "`offline`.",
        CELERY_WORKER_TASK_STATE: "`active`: it runs; `reserved`: it waits in the worker for its "
        "turn; `scheduled`: for its eta.",
        ALERT_SEVERITY: "`warning` or `critical`; log records have it, too.",
        ALERT_CHANNEL: "The channel, such as `slack`.",
        ALERT_RESULT: "What came of an attempt: `delivered`, `retry` or `refused`.",
        CPU_MODE: "What the time went to: `user`, `system` and, of a host, more.",
        CPYTHON_GC_GENERATION: "The garbage collector's generation: 0, 1 or 2.",
        DISK_IO_DIRECTION: "`read` or `write`.",
        DJANGO_API_WINDOW: "How far back clients are counted: `1h` or `24h`.",
        NETWORK_INTERFACE_NAME: "The network interface.",
        NETWORK_IO_DIRECTION: "`receive` or `transmit`.",
        PROCESS_CONTEXT_SWITCH_TYPE: "`voluntary` or `involuntary`.",
        SYSTEM_DEVICE: "The disk, or the device a file system is on.",
        SYSTEM_FILESYSTEM_MOUNTPOINT: "Where the file system is mounted.",
        SYSTEM_FILESYSTEM_STATE: "`used`, `free` or `reserved`.",
        SYSTEM_MEMORY_STATE: "`used`, `free`, `buffers` or `cached`.",
        OTEL_COMPONENT_TYPE: "The kind of the part that did it, such as an exporter's.",
        OTEL_COMPONENT_NAME: "That part's name.",
        OTEL_DJANGO_SIGNAL: "`traces`, `metrics` or `logs`.",
        OTEL_DJANGO_CAUSE: "Why it was lost.",
        OTEL_DJANGO_METRIC: "The metric's name.",
        OTEL_DJANGO_OBSERVER: "What was looked at, such as `celery.queues`.",
    },
}

SPAN_EVENTS: Final = {
    EXCEPTION_EVENT: "An exception in the span, unless OTEL_DJANGO_EXCEPTION_EVENTS is off.",
    N_PLUS_ONE_EVENT: "One statement that was repeated, with the code line that runs it.",
}

LOG_EVENTS: Final = {
    QUEUE_BACKLOG_GREW: "A queue has grown for several looks in a row, and is long; once until it "
    "shrinks.",
    REQUEST_FINISHED: "A request is answered to its last byte, or its client is gone. Level error "
    "for a failed one, warning for a slow one (`OTEL_DJANGO_SLOW_REQUEST_MS`), else info. Stands "
    "for the access lines of runserver, gunicorn and uvicorn. None for health and metrics paths.",
    TASK_RECEIVED: "A Celery worker has taken a task from its queue. Level debug.",
    TASK_STARTED: "A task begins to run. Level debug.",
    TASK_SUCCEEDED: "A task has run to its end.",
    TASK_FAILED: "A task has failed or was cut off. Level error.",
    TASK_RETRIED: "A task will run again. Level warning.",
    TASK_REVOKED: "A task was revoked or has expired. Level warning.",
    TASK_REJECTED: "A message was refused. Level warning.",
    TASK_IGNORED: "A task has ended without a result, as it wished.",
    COMMAND_FINISHED: "A management command has ended. Level error if it failed.",
    QUERY_SLOW: "A query took longer than `OTEL_DJANGO_SLOW_QUERY_MS`: its statement, and the code "
    "that runs it. Level warning.",
    QUERY_REPEATED: "A request or task ran one statement `OTEL_DJANGO_N_PLUS_ONE` times or more. "
    "Level warning.",
    MODEL_CREATED: "An object of a model that `OTEL_DJANGO_MODEL_EVENTS` names was created.",
    MODEL_UPDATED: "It was saved again.",
    MODEL_DELETED: "It was deleted.",
    LOGIN_SUCCEEDED: "Somebody has logged in.",
    LOGIN_FAILED: "Somebody has tried to, in vain; `user.hash` is that of the name that was given. "
    "Level warning.",
    PERMISSION_DENIED: "A request was answered with 403. Level warning.",
    SUSPICIOUS_OPERATION: "Django has refused something suspicious, such as a wrong Host. "
    "The level is Django's.",
    CSRF_FAILED: "A form came without its CSRF token, or with a wrong one. Level warning.",
    HEALTH_CHECK_CHANGED: "What a health check finds is worse or better than before, of one "
    "instance where it has several. Level error for unhealthy, warning for degraded, else info. "
    "Once a host.",
    ALERT_FIRED: "An alert begins to fire. Level error if it is critical, else warning.",
    ALERT_RESOLVED: "An alert that fired has ended.",
    ALERT_ACKNOWLEDGED: "Somebody takes care of an alert.",
    TELEMETRY_DROPPED: "Telemetry was lost; says how much, of which signal and why. Once a minute.",
    TELEMETRY_REJECTED: "The receiver refused some, or took it with a warning; gives its words.",
    TELEMETRY_REDUCED: "Telemetry takes more than `OTEL_DJANGO_MAX_OVERHEAD`: less is recorded of "
    "traces, and this says what. Once a step.",
    TELEMETRY_RESTORED: "There is room again: a step back towards everything.",
    DELIVERY_FAILED: "The receiver can't be reached; what is there waits on disk.",
    DELIVERY_RESUMED: "The receiver answers again.",
    DOCTOR_LOG: "`manage.py otel doctor` looks where log records get to.",
}
