"""The OpenAPI description of the JSON endpoints, made from what each declares in the code."""

from __future__ import annotations

import inspect
import json
import os
import typing
from typing import TYPE_CHECKING, Any, Final

from otel_django.version import VERSION

if TYPE_CHECKING:
    from otel_django.web.json_endpoint import Operation

PREFIX: Final = "/monitoring/"
JSON: Final = "application/json"
_ERROR: Final = {"$ref": "#/components/schemas/Error"}
_ENTRY: Final[list[dict[str, list[str]]]] = [{"token": []}, {"session": []}]
_STATUSES: Final = {
    400: "A parameter or the body can't be used.",
    401: "A token would help.",
    403: "Not allowed, or the CSRF token is missing.",
    405: "Another method is needed: `Allow` names it.",
    415: "The body isn't `application/json`.",
    429: "Too many requests: `Retry-After` says how many seconds to wait.",
    503: "What was kept can't be read just now.",
}
_STATE: Final = {"type": "string", "enum": ["healthy", "degraded", "unhealthy", "pending"]}
_CHECK: Final = {
    "type": "object",
    "properties": {
        "status": _STATE,
        "critical": {"type": "boolean"},
        "duration_ms": {"type": ["number", "null"]},
        "age_s": {"type": ["number", "null"]},
        "running_s": {"type": "number"},
        "observed": {"type": "object"},
        "message": {"type": "string"},
        "instances": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "status": _STATE,
                    "observed": {"type": "object"},
                    "message": {"type": "string"},
                },
                "required": ["message", "observed", "status"],
            },
        },
    },
    "required": ["age_s", "critical", "duration_ms", "message", "observed", "status"],
}
_HEALTH: Final = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["healthy", "degraded", "unhealthy"]},
        "timestamp": {"type": "string", "format": "date-time"},
        "duration_ms": {"type": "number"},
        "version": {"type": ["string", "null"]},
        "checks": {"type": "object", "additionalProperties": _CHECK},
    },
    "required": ["status", "timestamp"],
}


def text() -> str:
    """As it stands in docs/reference/openapi.json."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    from django.conf import settings

    if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
        settings.configure()
    from otel_django import urls

    schemas: dict[str, Any] = {"Error": _error_schema(), "HealthReport": _HEALTH}
    paths: dict[str, Any] = {
        path: {"get": _probe(summary)} for path, summary in _health_paths().items()
    }
    for pattern in urls.urlpatterns:
        operations = getattr(pattern.callback, "operations", ())
        if operations:
            paths[f"{PREFIX}{pattern.pattern}"] = {
                each.method.lower(): _operation(pattern.callback.__name__, each, schemas)
                for each in operations
            }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "otel_django",
            "version": VERSION,
            "description": "The JSON endpoints of a site that includes `otel_django.urls` below "
            f"`{PREFIX}` and `otel_django.probe_urls` at the root. HEAD is answered wherever GET "
            "is. Answers are never cached (`Cache-Control: no-store`).",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "responses": {
                f"Error{status}": _failure(meaning) for status, meaning in _STATUSES.items()
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "One of `OTEL_DJANGO_TOKENS`.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "sessionid",
                    "description": "Staff who are logged in; POST needs Django's CSRF token, too.",
                },
            },
        },
    }


def _health_paths() -> dict[str, str]:
    every = "All health checks."
    ready = "The checks of the group `ready`."
    return {
        "/health/": every,
        "/monitoring/health/": every,
        "/ready/": ready,
        "/readyz": ready,
        "/startupz": "The checks of the group `startup`.",
    }


def _probe(summary: str) -> dict[str, Any]:
    content = {JSON: {"schema": {"$ref": "#/components/schemas/HealthReport"}}}
    return {
        "summary": summary,
        "description": "Details (`checks` and `version`) are for staff and tokens.",
        "security": [{}, *_ENTRY],
        "responses": {
            "200": {"description": "Healthy or degraded.", "content": content},
            "400": _usual(400),
            "405": _usual(405),
            "503": {"description": "Unhealthy.", "content": content},
        },
    }


def _operation(name: str, operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    from otel_django.web.json_endpoint import anyone
    from otel_django.web.shapes import schema

    public = operation.may is anyone
    shape = operation.shape or typing.get_type_hints(operation.handler)["return"]
    statuses = {429, 405, 503}
    statuses |= set() if public else {401, 403}
    statuses |= {400} if operation.parameters else set()
    statuses |= set() if operation.body is None else {400, 415}
    described: dict[str, Any] = {
        "operationId": f"{name}_{operation.method.lower()}",
        "summary": inspect.getdoc(operation.handler),
        "security": [{}, *_ENTRY] if public else _ENTRY,
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {JSON: {"schema": schema(shape, schemas)}},
            },
            **{str(status): _usual(status) for status in sorted(statuses)},
            **{str(status): _failure(meaning) for status, meaning in operation.errors.items()},
        },
    }
    if operation.parameters:
        described["parameters"] = [
            {
                "name": each.name,
                "in": "query",
                "description": each.description,
                "schema": each.schema(),
            }
            for each in operation.parameters
        ]
    if operation.body is not None:
        body = {JSON: {"schema": schema(operation.body, schemas)}}
        described["requestBody"] = {"required": True, "content": body}
    return described


def _usual(status: int) -> dict[str, Any]:
    return {"$ref": f"#/components/responses/Error{status}"}


def _failure(meaning: str) -> dict[str, Any]:
    return {"description": meaning, "content": {JSON: {"schema": _ERROR}}}


def _error_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"error": {"type": "string"}, "detail": {"type": "string"}},
        "required": ["detail", "error"],
    }
