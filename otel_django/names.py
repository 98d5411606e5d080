"""Every telemetry name: spans, attributes and log events.

OpenTelemetry's semantic conventions wherever one exists; names of our own start with ``django.``
or ``otel_django.``.
"""

from __future__ import annotations

from typing import Final

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
