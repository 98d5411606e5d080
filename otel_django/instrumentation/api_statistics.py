"""Requests to the site's API: how many, how many were throttled, how many clients they came from.

A client is a user, else a token, else an address. Only what a sketch keeps of a keyed hash is ever
written (``metrics.distinct``), into one file of the host's processes.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from time import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import salted_hmac

from otel_django import guard
from otel_django import metric_definitions as metrics
from otel_django.instrumentation.http_attributes import route_template
from otel_django.instrumentation.http_headers import loaded_user
from otel_django.instrumentation.on_import import when_imported
from otel_django.instrumentation.patching import Patches
from otel_django.instrumentation.process_metrics import Observed, Seen
from otel_django.metrics import active
from otel_django.metrics.distinct import Marks, Window, mark
from otel_django.metrics.host_folder import usable_folder
from otel_django.metrics.shared_sketches import SharedSketches
from otel_django.tracing.trust import FORWARDING_HEADERS, TrustPolicy, names_the_client

if TYPE_CHECKING:
    from django.http import HttpRequest

    from otel_django.conf import Settings
    from otel_django.metrics.instruments import Counter
    from otel_django.metrics.recorder import Recorder
    from otel_django.tracing.tracer import Tracer

TOO_MANY: Final = 429
WINDOWS: Final = (Window("1h", 300, 12), Window("24h", 3600, 24))
FILE: Final = "api_clients"
_TOKENS: Final = ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY")
_TOLD_BY_PROXIES: Final = ("REMOTE_ADDR", *FORWARDING_HEADERS)


class Client(NamedTuple):
    """Who sent a request, and what that counts with: ``("user", 7, …)``.

    Of one that proxies told of, ``key`` is what they said: whom to believe is found out later.
    """

    kind: str
    key: Any
    statistics: ApiStatistics

    def was_served(self, route: str | None, status: int | None) -> None:
        """Count the request, and who sent it; never raises."""
        try:
            self.statistics.record(self, route, status)
        except Exception:
            guard.caught("api_statistics.record")


counting: ApiStatistics | None = None
"""What requests are shown to that have been served; None: they aren't counted."""


class ApiStatistics(Observed):
    """An instrumentation beside that of requests, which shows it what was served."""

    DEFINITIONS = (metrics.DJANGO_API_ACTIVE_CLIENTS,)

    def __init__(self, now_s: Callable[[], float] = time) -> None:
        super().__init__()
        self._time_s = now_s
        self._patches = Patches()
        self._undo: Callable[[], None] | None = None
        self._requests: Counter | None = None
        self._throttled: Counter | None = None
        self._marks: Marks = {}
        self._known: dict[str, bool] = {}
        self._routes: tuple[str, ...] = ()
        self._address: Callable[[Any], str] = TrustPolicy("auto").client_address
        self._sketches = SharedSketches(WINDOWS, FILE, lambda: None)
        self._keyed: blake2b | None = None

    # --- as an instrumentation

    def measure_with(self, recorder: Recorder) -> None:
        """Count with ``recorder``."""
        if recorder not in self._recorders:
            recorder.gather(self._share, self._forget)
        super().measure_with(recorder)
        self._requests = recorder.counter(metrics.DJANGO_API_REQUESTS)
        self._throttled = recorder.counter(metrics.DJANGO_API_THROTTLED)

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Be shown requests, where metrics are on; a second call changes nothing."""
        global counting
        if self._requests is None or self._installed:
            return
        super().install(tracer, settings)
        self._routes = settings.api_routes
        self._address = TrustPolicy(settings.trust_inbound).client_address
        self._sketches = SharedSketches(
            WINDOWS,
            FILE,
            lambda: usable_folder(settings.run_dir, settings.service_name, pause=_nothing),
        )
        self._keyed = _keyed()
        self._known = {}
        self._undo = when_imported("rest_framework.views", self._watch_throttles)
        counting = self

    def uninstall(self) -> None:
        """Count nothing any more."""
        global counting
        super().uninstall()
        if self._undo is not None:
            self._undo()
            self._undo = None
        self._patches.undo()
        if counting is self:
            counting = None

    # --- while requests are served

    def client_of(
        self, request: HttpRequest, pattern: str, script_name: str | None
    ) -> Client | None:
        """Who sent it; None where ``pattern`` isn't the API's."""
        is_api = self._known.get(pattern)
        if is_api is None:
            is_api = self._learn(pattern, script_name)
        return self._client(request) if is_api else None

    def _learn(self, pattern: str, script_name: str | None) -> bool:
        route = route_template(pattern)
        mounted = (script_name or "").rstrip("/") + route
        is_api = route.startswith(self._routes) or mounted.startswith(self._routes)
        self._known[pattern] = is_api
        return is_api

    def _client(self, request: HttpRequest) -> Client:
        user = loaded_user(request)
        if user is not None:
            key = getattr(user, "pk", None)
            if key is not None:
                return Client("user", key, self)
        meta = request.META
        for header in _TOKENS:
            if header in meta:
                return Client("token", meta[header], self)
        if names_the_client(meta):
            told = {header: meta[header] for header in _TOLD_BY_PROXIES if header in meta}
            return Client("proxied", told, self)
        return Client("address", meta.get("REMOTE_ADDR"), self)

    def record(self, client: Client, route: str | None, status: int | None) -> None:
        """A request of the API was served."""
        if self._requests is None or self._throttled is None:
            return
        self._requests.add(1, (route,))
        if status == TOO_MANY:
            self._throttled.add(1, (route,))
        if self._keyed is not None:
            kind, key = client.kind, client.key
            if kind == "proxied":
                kind, key = "address", self._address(key)
            hashed = self._keyed.copy()
            hashed.update(f"{kind} {key}".encode("utf-8", "surrogateescape"))
            mark(self._marks, int.from_bytes(hashed.digest(), "big"))

    def _watch_throttles(self) -> None:
        """Throttles of Django REST framework whose answer isn't a 429."""
        from rest_framework import exceptions, views

        def wrapped(handle: Callable[..., Any]) -> Callable[..., Any]:
            def handle_exception(view: Any, exc: Exception) -> Any:
                if not isinstance(exc, exceptions.Throttled):
                    return handle(view, exc)
                status = None
                try:
                    response = handle(view, exc)
                    status = getattr(response, "status_code", None)
                    return response
                finally:
                    if status != TOO_MANY:
                        with guard.guarded("api_statistics.throttled"):
                            self._refused(view.request)

            return handle_exception

        self._patches.wrap(views.APIView, "handle_exception", wrapped)

    def _refused(self, request: Any) -> None:
        match = request.resolver_match
        if self._throttled is None or match is None or not self._installed:
            return
        script_name = request.META.get("SCRIPT_NAME")
        if self._learn(match.route, script_name):
            route = (script_name or "").rstrip("/") + route_template(match.route)
            self._throttled.add(1, (route,))

    # --- when somebody collects

    def is_wanted(self) -> bool:
        """Whether this process is the one that tells of the host's clients."""
        host = active.host()
        return host is not None and host.elected

    def look(self) -> Seen:
        """How many clients there were; nothing where there never was any."""
        counts = self._sketches.counts(self._time_s())
        return {
            metrics.DJANGO_API_ACTIVE_CLIENTS: {(name,): count for name, count in counts.items()}
        }

    def _share(self) -> None:
        """Show the other processes which clients were here."""
        if not self._marks or active.host() is None or not self._installed:
            return
        marks, self._marks = self._marks.copy(), {}
        with guard.guarded("api_statistics.share"):
            if not self._sketches.raise_to(marks, self._time_s()):
                for register, rank in marks.items():  # next time
                    self._marks[register] = max(rank, self._marks.get(register, 0))

    def _forget(self) -> None:
        """In a forked child: the parent's clients are the parent's."""
        self._marks = {}


def _keyed() -> blake2b | None:
    """Hashes alike in all processes of a site; nobody else has the key. None without SECRET_KEY."""
    try:
        key = salted_hmac("otel_django.api_clients", "", algorithm="sha256").digest()
    except ImproperlyConfigured:
        return None
    return blake2b(digest_size=8, key=key)


def _nothing() -> None:
    """Is to be let go on."""
