"""CSRF of views that Django's middleware leaves alone: tokens need none, people do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.middleware.csrf import CsrfViewMiddleware, get_token

if TYPE_CHECKING:
    from django.http import HttpRequest


class _Csrf(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def is_forged(request: HttpRequest) -> bool:
    """Whether the middleware would have refused the request, had it looked."""
    return _read(request).process_view(request, _nothing, (), {}) is not None


def token(request: HttpRequest) -> str:
    """What a form of ours sends as ``csrfmiddlewaretoken``."""
    _read(request)
    return get_token(request)


def _read(request: HttpRequest) -> _Csrf:
    check = _Csrf(lambda request: None)  # type: ignore[arg-type]
    check.process_request(request)
    return check


def _nothing(request: HttpRequest) -> Any:
    """Stands for a view that isn't exempt."""
