"""What all JSON endpoints have in common, in one place.

Each says what it answers and to whom; the rest is done here: methods, entry, CSRF, the rate, the
query string, the body, headers, and errors that say nothing of what is inside.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import UnreadablePostError
from django.views import View

from otel_django import guard
from otel_django.clock import SYSTEM_CLOCK
from otel_django.errors import OtelDjangoError, ReadError
from otel_django.web import csrf, early
from otel_django.web.metrics_answer import Answer, error
from otel_django.web.permissions import MACHINE, asker, has_token, may_read
from otel_django.web.rate_limit import RateLimit
from otel_django.web.responses import as_response
from otel_django.web.shapes import misfit
from otel_django.web.site_settings import site_settings

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from otel_django.conf import Settings
    from otel_django.web.access import Verdict

Method = Literal["GET", "POST"]
JsonView: TypeAlias = Callable[..., "HttpResponse"]
May: TypeAlias = "Callable[[HttpRequest, Settings], Verdict]"
HEADERS: Final = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_LONGEST_NUMBER: Final = 9
_rate = RateLimit(SYSTEM_CLOCK)


class Refused(OtelDjangoError):
    """An endpoint raises it: the answer is an error. Its texts are shown."""

    def __init__(self, status: int, kind: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.answer = error(status, kind, detail, **headers)


@dataclass(frozen=True)
class Whole:
    """A whole number between two others."""

    name: str
    description: str
    default: int
    least: int
    most: int

    def value(self, text: str) -> int:
        """The number."""
        number = int(text) if _is_number(text) else None
        if number is None or not self.least <= number <= self.most:
            raise Refused(
                400, "bad parameter", f"{self.name} is a number from {self.least} to {self.most}."
            )
        return number

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        bounds = {"minimum": self.least, "maximum": self.most, "default": self.default}
        return {"type": "integer", **bounds}


@dataclass(frozen=True)
class Choice:
    """One of some words; the first one is the default."""

    name: str
    description: str
    words: tuple[str, ...]

    @property
    def default(self) -> str:
        """The first word."""
        return self.words[0]

    def value(self, text: str) -> str:
        """The word."""
        if text not in self.words:
            raise Refused(400, "bad parameter", f"{self.name} is one of: {', '.join(self.words)}.")
        return text

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        return {"type": "string", "enum": list(self.words), "default": self.default}


class Asked(NamedTuple):
    """A request that may be answered: its parameters and body are as they were declared.

    ``may_read`` tells where anybody is answered whether this one may see more.
    """

    request: HttpRequest
    settings: Settings
    query: Mapping[str, Any]
    body: Any
    may_read: bool


Handler: TypeAlias = "Callable[[Asked], Mapping[str, Any] | Answer]"


@dataclass(frozen=True)
class Operation:
    """What one method of an endpoint does; ``handler``'s docstring and return type describe it.

    ``may`` says who is answered, ``body`` what is to come as JSON (a ``TypedDict``), ``errors``
    what can go wrong besides, by status; ``shape`` what is answered, where the handler makes the
    whole answer itself.
    """

    method: Method
    handler: Handler
    may: May = may_read
    parameters: tuple[Whole | Choice, ...] = ()
    body: Any = None
    shape: Any = None
    errors: Mapping[int, str] = field(default_factory=dict)


def anyone(request: HttpRequest, settings: Settings) -> Verdict:
    """Everybody is answered; ``Asked.may_read`` tells who may see more."""
    return "allowed"


def get(**declared: Any) -> Callable[[Handler], Operation]:
    """A decorator: the function answers GET, and HEAD."""
    return lambda handler: Operation("GET", handler, **declared)


def post(**declared: Any) -> Callable[[Handler], Operation]:
    """A decorator: the function answers POST."""
    return lambda handler: Operation("POST", handler, **declared)


def json_view(name: str, *operations: Operation) -> JsonView:
    """A view of these methods; ``view.operations`` are what was declared."""
    by_method: dict[str, Operation] = {each.method: each for each in operations}

    def view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return as_response(_answer(request, name, by_method), request)

    view.__name__ = view.__qualname__ = name
    view.__doc__ = operations[0].handler.__doc__
    view.operations = operations  # type: ignore[attr-defined]
    early.unburden(view)
    return view


def class_of(view: JsonView) -> type[View]:
    """The same as a class, for those who prefer ``as_view()``."""

    def dispatch(self: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return view(request, *args, **kwargs)

    name = "".join(part.title() for part in view.__name__.split("_"))
    early.unburden(dispatch)
    return type(f"{name}View", (View,), {"dispatch": dispatch, "__doc__": view.__doc__})


# --- one request


def _answer(request: HttpRequest, name: str, operations: Mapping[str, Operation]) -> Answer:
    try:
        found = _allowed(request, operations)
    except Refused as refused:
        found = refused.answer
    except RequestDataTooBig:
        found = error(413, "too large", "The body is larger than this site takes.")
    except SuspiciousOperation:
        found = error(400, "bad request", "The request can't be read.")
    except ReadError:
        found = error(503, "unavailable", "What was kept can't be read just now: try again later.")
    except Exception:
        guard.caught(f"web.{name}")
        found = error(500, "internal error", "This answer could not be made; the log says more.")
    return Answer(found.status, found.body, {**HEADERS, **found.headers})


def _allowed(request: HttpRequest, operations: Mapping[str, Operation]) -> Answer:
    operation = operations.get("GET" if request.method == "HEAD" else request.method or "")
    if operation is None:
        allowed = [*operations, *(["HEAD"] if "GET" in operations else [])]
        raise Refused(
            405, "method not allowed", f"Use {' or '.join(allowed)}.", Allow=", ".join(allowed)
        )
    settings = site_settings()
    verdict = operation.may(request, settings)
    if verdict != "allowed":
        raise refusal(verdict)
    if operation.method != "GET" and not has_token(request, settings):
        _check_csrf(request)
    _check_rate(asker(request, settings), public=operation.may is anyone)
    query = {each.name: _given(request, each) for each in operation.parameters}
    body = None if operation.body is None else _body(request, operation.body)
    reader = operation.may is not anyone or may_read(request, settings) == "allowed"
    found = operation.handler(Asked(request, settings, query, body, reader))
    return found if isinstance(found, Answer) else answer(found)


def answer(payload: Mapping[str, Any], status: int = 200, **headers: str) -> Answer:
    """A payload as JSON. NaN and infinity, for which that has no word, are null.

    What it knows nothing of is text: a check of the site may have found anything.
    """
    text = json.dumps(finite(payload), allow_nan=False, default=str, separators=(",", ":"))
    return Answer(status, text.encode(), {**HEADERS, **headers})


def finite(value: Any) -> Any:
    """The value with null for what JSON can't say."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return value


def refusal(verdict: Verdict) -> Refused:
    """401 where a token would help, else 403."""
    if verdict == "unauthorized":
        challenge = {"WWW-Authenticate": 'Bearer realm="monitoring"'}
        return Refused(401, "unauthorized", "Log in as staff, or send a token.", **challenge)
    return Refused(403, "forbidden", "This is for staff with the right to it.")


def _check_csrf(request: HttpRequest) -> None:
    """As Django's own middleware does, which leaves the view alone for the sake of tokens."""
    if csrf.is_forged(request):
        raise Refused(403, "csrf", "The CSRF token is missing or wrong; a Bearer token needs none.")


def _check_rate(who: str, *, public: bool) -> None:
    if public and who == MACHINE:
        return
    wait_s = _rate.wait_s(who)
    if wait_s:
        raise Refused(
            429,
            "too many requests",
            "Ask again later, and less often.",
            **{"Retry-After": str(math.ceil(wait_s))},
        )


def _given(request: HttpRequest, parameter: Whole | Choice) -> Any:
    given = request.GET.getlist(parameter.name)
    if not given:
        return parameter.default
    if len(given) > 1:
        raise Refused(400, "bad parameter", f"{parameter.name} is given more than once.")
    return parameter.value(given[0])


def _is_number(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdigit() and len(text) <= _LONGEST_NUMBER


def _body(request: HttpRequest, shape: Any) -> Any:
    if request.content_type != "application/json":
        raise Refused(415, "unsupported media type", "Send application/json.")
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError, UnreadablePostError):
        raise Refused(400, "bad request", "The body isn't JSON.") from None
    wrong = misfit(body, shape)
    if wrong:
        raise Refused(400, "bad request", f"{wrong[0].upper()}{wrong[1:]}.")
    return body
