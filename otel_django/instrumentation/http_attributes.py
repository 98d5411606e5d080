"""What a request's span says: route, view, addresses, user agent, path.

Follows the HTTP semantic conventions (stable). Everything is read once, when the request is over
and only if it is recorded, straight from the environ that Django keeps in ``request.META``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.conf import settings as site

from otel_django import names
from otel_django.tracing.redaction import MASK, Redactor
from otel_django.tracing.span_parts import SharedAttributes

if TYPE_CHECKING:
    from django.urls import ResolverMatch

    from otel_django.tracing.limits import Plain
    from otel_django.tracing.span import Span
    from otel_django.tracing.trust import TrustPolicy

KNOWN_METHODS: Final = frozenset(
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY")
)
OTHER_METHOD: Final = "_OTHER"

_METHOD: Final = names.HTTP_REQUEST_METHOD
_PATH: Final = names.URL_PATH
_AGENT: Final = names.USER_AGENT_ORIGINAL
_CLIENT: Final = names.CLIENT_ADDRESS

_MOST_ROUTES = 4096
_MOST_SHAPES = 4096
_LONGEST_HOST = 255
_LONGEST_LENGTH = 18
_MAX_TEXT = 2048
TOKEN_LENGTH: Final = 22
"""A random text that keeps a secret has as many characters (16 bytes in base 64)."""
_TOKEN_LIKE = re.compile(rf"eyJ[\w-]+\.[\w.-]+|[A-Za-z0-9_=-]{{{TOKEN_LENGTH},}}")
_VERSIONS = {"HTTP/1.1": "1.1", "HTTP/1.0": "1.0", "HTTP/2": "2", "HTTP/2.0": "2", "HTTP/3": "3"}


class Route(NamedTuple):
    """What is the same for every request of one URL pattern."""

    path: str
    attributes: dict[str, Plain]
    secret_parts: tuple[str, ...]


class Shape(NamedTuple):
    """What is the same for every request of one URL pattern by one method to one Host."""

    span_name: str
    shared: SharedAttributes
    secret_parts: tuple[str, ...]


class RequestDescriber:
    """Says what a request's span is called and what its attributes are."""

    def __init__(
        self, redactor: Redactor, trust: TrustPolicy, value_length: int | None = None
    ) -> None:
        self._redactor = redactor
        self._client_address = trust.client_address
        self._longest = min(value_length or _MAX_TEXT, _MAX_TEXT)
        # Else ``request.scheme`` is the server's word, and needn't be asked for by three calls.
        self._proxies_say_scheme = site.SECURE_PROXY_SSL_HEADER is not None
        self._routes: dict[tuple[str, ...], Route] = {}
        self._shapes: dict[tuple[str, ...], Shape] = {}

    def describe(self, request: Any, span: Span) -> None:
        """Name the span, whose method and path are known, and add what the request says.

        One function, and one look-up of all that requests share: this runs once a request, in
        processor caches that the site's own code has filled.
        """
        meta = request.META
        own = span._own
        host = meta.get("HTTP_HOST")
        if host is None or "HTTP_X_FORWARDED_HOST" in meta:
            host = request._get_raw_host()  # asks the settings which one counts
        scheme = None if self._proxies_say_scheme else meta.get("wsgi.url_scheme")
        scheme = scheme or request.scheme
        version = meta.get("SERVER_PROTOCOL") or request.scope.get("http_version", "")
        method = own[_METHOD]
        match = request.resolver_match
        key: tuple[str, ...]
        if match is None:
            key = (host, scheme, version, method)
        else:
            key = (
                host,
                scheme,
                version,
                method,
                match.route,
                match.view_name,
                match._func_path,
                meta.get("SCRIPT_NAME", ""),
            )
        shape = self._shapes.get(key) or self._shape_of(key, match)
        span._name = shape.span_name
        if len(own) == 2:
            del own[_METHOD]
            span._shared = shape.shared
        else:  # the site, or a processor, has set some that may be ours to say
            own.update(shape.shared.values)
        if shape.secret_parts:
            own[_PATH] = self._masked_path(request.path, match, shape.secret_parts)
        agent = meta.get("HTTP_USER_AGENT")
        if agent is not None:
            own[_AGENT] = agent[: self._longest]
        client = meta.get("REMOTE_ADDR")
        if "HTTP_X_FORWARDED_FOR" in meta or "HTTP_FORWARDED" in meta or "HTTP_X_REAL_IP" in meta:
            client = self._client_behind_proxies(meta, client, own)
        if client:
            own[_CLIENT] = client

    def path_and_client(self, request: Any) -> tuple[str, str | None]:
        """What ``describe`` says of path and client, for a request without a span."""
        path = self.safe_path(request.path)
        match = request.resolver_match
        if match is not None and match.kwargs:
            secret = tuple(name for name in match.kwargs if self._redactor.is_sensitive(name))
            path = self._masked_path(path, match, secret)
        meta = request.META
        client = meta.get("REMOTE_ADDR")
        if "HTTP_X_FORWARDED_FOR" in meta or "HTTP_FORWARDED" in meta or "HTTP_X_REAL_IP" in meta:
            client = self._client_behind_proxies(meta, client, {})
        return path, client

    def _masked_path(self, path: str, match: ResolverMatch, secret_parts: tuple[str, ...]) -> str:
        for part in secret_parts:
            path = _mask_part(path, match.kwargs.get(part))
        return self.safe_path(path)

    def _client_behind_proxies(
        self, meta: dict[str, Any], peer: str | None, attributes: dict[str, Any]
    ) -> str:
        client = self._client_address(meta)
        if peer and peer != client:
            attributes[names.NETWORK_PEER_ADDRESS] = peer
        return client

    def _shape_of(self, key: tuple[str, ...], match: ResolverMatch | None) -> Shape:
        host, scheme, version, method, *pattern = key
        attributes: dict[str, Plain] = {_METHOD: method, **_connection(host, scheme, version)}
        name = span_method(method)
        secret_parts: tuple[str, ...] = ()
        if match is not None:
            route = self._routes.get(tuple(pattern)) or self._learn(tuple(pattern), match)
            attributes.update(route.attributes)
            name, secret_parts = f"{name} {route.path}", route.secret_parts
        shape = Shape(name, SharedAttributes(attributes), secret_parts)
        if len(host) <= _LONGEST_HOST:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()  # anybody may send any Host
            self._shapes[key] = shape
        return shape

    def safe_path(self, path: str) -> str:
        """The path, cut to the longest allowed, without components that look like tokens."""
        if len(path) >= TOKEN_LENGTH:
            return _TOKEN_LIKE.sub(_mask_token, path[: self._longest])
        return path

    def _learn(self, key: tuple[str, ...], match: ResolverMatch) -> Route:
        pattern, view_name, _, script_name = key
        path = script_name.rstrip("/") + route_template(pattern)
        view = _view_of(match.func)
        attributes: dict[str, Plain] = {names.HTTP_ROUTE: path, names.DJANGO_VIEW: _path_of(view)}
        if match.url_name:
            attributes[names.DJANGO_URL_NAME] = view_name
        label = _app_label(view, match)
        if label:
            attributes[names.DJANGO_APP] = label
        secret = tuple(name for name in match.kwargs if self._redactor.is_sensitive(name))
        route = Route(path, attributes, secret)
        if len(self._routes) < _MOST_ROUTES:
            self._routes[key] = route
        return route


def known_method(raw: str) -> str:
    """``http.request.method``: a known method in upper case, or ``_OTHER``."""
    if raw in KNOWN_METHODS:
        return raw
    upper = raw.upper()
    return upper if upper in KNOWN_METHODS else OTHER_METHOD


def span_method(method: str) -> str:
    """The method as span names have it: "HTTP" for one that isn't known."""
    return "HTTP" if method == OTHER_METHOD else method


def route_template(pattern: str) -> str:
    """A URL pattern as ``http.route``: as in the URLconf, from "/", without a regex's anchors."""
    return "/" + pattern.removeprefix("^").removesuffix("$").removesuffix(r"\Z")


def _view_of(func: Callable[..., Any]) -> Any:
    """The class or function that serves; decorators that keep ``view_class`` are looked through."""
    while hasattr(func, "func") and not hasattr(func, "__name__"):
        func = func.func  # functools.partial
    view: Any = getattr(func, "view_class", None) or getattr(func, "cls", None) or func
    return view if hasattr(view, "__qualname__") else type(view)


def _path_of(view: Any) -> str:
    return f"{view.__module__}.{view.__qualname__}"


def _app_label(view: Any, match: ResolverMatch) -> str | None:
    from django.apps import apps

    config = apps.get_containing_app_config(view.__module__)
    return config.label if config is not None else match.app_name or None


def length_of(text: str | None) -> int | None:
    """What a ``Content-Length`` says; None where it is no length that a body can have."""
    if text and len(text) <= _LONGEST_LENGTH and text.isascii() and text.isdigit():
        return int(text)
    return None


def _connection(host: str, scheme: str, version: str) -> dict[str, Plain]:
    """What every request to one Host over one protocol shares."""
    address, colon, port = host.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or len(port) > 5:
        address, port = host, "443" if scheme == "https" else "80"
    attributes: dict[str, Plain] = {
        names.URL_SCHEME: scheme,
        names.SERVER_ADDRESS: address.strip("[]")[:255],
        names.SERVER_PORT: int(port),
    }
    if version:
        attributes[names.NETWORK_PROTOCOL_VERSION] = _VERSIONS.get(version) or version[-8:]
    return attributes


def _mask_part(path: str, value: object) -> str:
    text = "" if value is None else str(value)
    if not text:
        return path
    components = path.split("/")
    if text in components:
        return "/".join(MASK if component == text else component for component in components)
    return path.replace(text, MASK)


def _mask_token(match: re.Match[str]) -> str:
    """Mask a JSON web token, and a long run unless it reads like words, numbers or a UUID."""
    run = match.group()
    if "." in run:
        return MASK
    digits = letters = upper = 0
    for character in run:
        if character.isdigit():
            digits += 1
        elif character.isalpha():
            letters += 1
            upper += character.isupper()
    lower = letters - upper
    mixed = digits >= 2 and upper >= 2 and lower >= 2
    unbroken = max(len(part) for part in re.split("[_=-]", run))
    return MASK if mixed or (unbroken >= 32 and digits and letters) else run
