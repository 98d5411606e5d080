"""The viewer's pages, by Django, without the middleware and addresses of any site."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler

from otel_django.clock import SYSTEM_CLOCK
from otel_django.receiver import bodies
from otel_django.receiver.answers import Answer, Refused
from otel_django.receiver.login import PATH as LOGIN
from otel_django.receiver.login import address_of, login
from otel_django.web.rate_limit import RateLimit

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedReader

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from otel_django.receiver.door import Door
    from otel_django.receiver.limits import Limits

URLCONF: Final = "otel_django.receiver.urls"
_OPEN: Final = "/static/"


class _Handler(WSGIHandler):
    def load_middleware(self, is_async: bool = False) -> None:
        """None: a site's own is for its addresses and logins."""
        handler: Any = self
        handler._view_middleware = []
        handler._template_response_middleware = []
        handler._exception_middleware = []
        handler._middleware_chain = convert_exception_to_response(handler._get_response)

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        """Of these pages, whatever a site's URLconf is."""
        request.urlconf = URLCONF
        return super().get_response(request)


class Pages:
    """Shows the pages to whom ``door`` lets in."""

    def __init__(self, door: Door, limits: Limits) -> None:
        self._door = door
        self._limits = limits
        self._handler = _Handler()
        self._logins = RateLimit(SYSTEM_CLOCK, limits.logins_at_once, limits.logins_a_minute)

    def answer(
        self,
        environ: dict[str, Any],
        stream: BufferedReader,
        show: Callable[[dict[str, Any], WSGIHandler], None],
    ) -> Answer | None:
        """The answer; None: ``show`` has sent what Django made.

        Raises:
            Refused: it isn't for these pages.
        """
        path = environ["PATH_INFO"]
        if path == LOGIN and self._door.tokens:
            form = self._form(environ, stream)
            return login(environ, form, self._door, self._logins, environ["QUERY_STRING"])
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            raise Refused(405, "Pages are only read.", Allow="GET, HEAD")
        if bodies.declared(environ, 0) is None:
            raise Refused(413, "A request for a page has no body.")
        if not path.startswith(_OPEN):
            if not self._door.may_look(environ):
                return self._refused(environ)
            if self._door.tokens:  # the views know no cookie of ours
                environ["HTTP_AUTHORIZATION"] = f"Bearer {self._door.tokens[0]}"
        environ["wsgi.input"] = BytesIO()
        show(environ, self._handler)
        return None

    def _form(self, environ: dict[str, Any], stream: BufferedReader) -> bytes:
        most = self._limits.form_bytes
        return b"".join(bodies.parts(stream, bodies.declared(environ, most), most))

    def _refused(self, environ: dict[str, Any]) -> Answer:
        if not self._door.tokens:
            raise Refused(403, "These pages are for who works on this machine.")
        if "HTTP_HX_REQUEST" in environ:
            raise Refused(401, "The login has ended: load the page again.")
        address = address_of(environ["REQUEST_URI"])
        return Answer(303, headers={"Location": address, "Cache-Control": "no-store"})
