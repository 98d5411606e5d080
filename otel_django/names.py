"""Every telemetry name: spans, attributes and log events.

OpenTelemetry's semantic conventions wherever one exists; names of our own start with ``django.``
or ``otel_django.``.
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

# --- any span
ERROR_TYPE: Final = "error.type"
EXCEPTION_EVENT: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
CODE_FILE_PATH: Final = "code.file.path"
CODE_LINE_NUMBER: Final = "code.line.number"
CODE_FUNCTION_NAME: Final = "code.function.name"
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

# --- cache
DJANGO_CACHE_ALIAS: Final = "django.cache.alias"
DJANGO_CACHE_BACKEND: Final = "django.cache.backend"
DJANGO_CACHE_OPERATION: Final = "django.cache.operation"
DJANGO_CACHE_HIT: Final = "django.cache.hit"
DJANGO_CACHE_HITS: Final = "django.cache.hits"
DJANGO_CACHE_COUNT: Final = "django.cache.count"
DJANGO_CACHE_KEY_PREFIX: Final = "django.cache.key_prefix"

# --- log events, past tense
TELEMETRY_DROPPED: Final = "telemetry.dropped"
TELEMETRY_REJECTED: Final = "telemetry.rejected"
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
    SpanShape("Span of your own", "as given", "as given", "Where your code starts one."),
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
    },
    "Attributes of any span": {
        ERROR_TYPE: "What failed: the exception's class, or the status of a 5xx answer.",
        CODE_FILE_PATH: "The file, in your project, of the line that ran a slow or repeated query.",
        CODE_LINE_NUMBER: "That line.",
        CODE_FUNCTION_NAME: "The function that line is in.",
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
    f"Attributes of the event `{EXCEPTION_EVENT}`": {
        EXCEPTION_TYPE: "The exception's class.",
        EXCEPTION_MESSAGE: "Its text, without secrets.",
        EXCEPTION_STACKTRACE: "Its traceback, without local values.",
    },
}

SPAN_EVENTS: Final = {
    EXCEPTION_EVENT: "An exception in the span, unless OTEL_DJANGO_EXCEPTION_EVENTS is off.",
    N_PLUS_ONE_EVENT: "One statement that was repeated, with the code line that runs it.",
}

LOG_EVENTS: Final = {
    TELEMETRY_DROPPED: "Telemetry was lost; says how much, of which signal and why. Once a minute.",
    TELEMETRY_REJECTED: "The receiver refused some, or took it with a warning; gives its words.",
    DELIVERY_FAILED: "The receiver can't be reached; what is there waits on disk.",
    DELIVERY_RESUMED: "The receiver answers again.",
}
