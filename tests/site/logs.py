"""Views that log."""

from __future__ import annotations

import logging

import structlog
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.urls import path

from tests.site.secrets import mark

logger = logging.getLogger("site.logs")


def order(request: HttpRequest, pk: int) -> HttpResponse:
    logger.info("order %d shown", pk, extra={"order": pk})
    return HttpResponse("ok")


def debug(request: HttpRequest) -> HttpResponse:
    logger.debug("details")
    logging.getLogger(__name__).debug("details of the shop")
    return HttpResponse("ok")


def secrets(request: HttpRequest) -> HttpResponse:
    """Secrets in every part of a record."""
    secret = mark(request)
    structured = structlog.get_logger("site.structured")
    user = get_user_model()(username=secret, password=secret)
    logger.info("password=%s", secret)
    logger.info("Authorization: Bearer %s", secret)
    logger.info("login %(password)s", {"password": secret})
    logger.info("headers %s", {"Cookie": f"sessionid={secret}", "X-Api-Key": secret})
    logger.info("call https://bob:%s@example.org/?key=%s", secret, secret)
    logger.info(
        "form",
        extra={
            "form": {"password": secret, "nested": [{"card_number": secret}]},
            "api_key": secret,
            "user": user,
            "request": request,
            "body": f"token={secret}".encode(),
            "error": ValueError(f"secret: {secret}"),
        },
    )
    with structlog.contextvars.bound_contextvars(session_id=secret):
        structured.warning("bound", token=secret, card={"pin": secret}, note=f"pwd: {secret}")
    try:
        raise KeyError(f"password={secret}")
    except KeyError:
        local_value = secret  # noqa: F841 - must not be read from the frame
        logger.exception("failed for token %s", secret)
        structured.exception("failed", authorization=secret)
    return HttpResponse("ok")


urlpatterns = [path("order/<int:pk>/", order), path("debug/", debug), path("secrets/", secrets)]
