"""Cache spans: every backend, one span an operation, no keys and no values."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.cache import CacheHandler, caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.management import call_command
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from otel_django.bootstrap.process import Runtime
from otel_django.conf import Settings, SpanLimitSettings
from otel_django.instrumentation.cache import CacheInstrumentation
from otel_django.instrumentation.cache_key import DJANGO_KEYS, key_prefix
from otel_django.testing import Captured, capture
from otel_django.tracing import current
from otel_django.tracing.span import Span

SECRET = "s3cr3tv4lu3"
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"


class SiteCache(BaseCache):
    """A backend of the site's own, over the abstract base alone."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self.values: dict[Any, Any] = {}

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: Any, value: Any, timeout: Any = None, version: Any = None) -> None:
        self.values[key] = value

    def add(self, key: Any, value: Any, timeout: Any = None, version: Any = None) -> bool:
        return self.values.setdefault(key, value) is value

    def delete(self, key: Any, version: Any = None) -> bool:
        return self.values.pop(key, None) is not None

    def touch(self, key: Any, timeout: Any = None, version: Any = None) -> bool:
        return key in self.values

    def clear(self) -> None:
        self.values.clear()


class Shouting:
    """A mixin that isn't a cache by itself."""

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        return super().get(key, default, version)  # type: ignore[misc]


class MixedCache(Shouting, LocMemCache):
    pass


class RemoteCache(SiteCache):
    """Its client is instrumented, as Redis or Memcached may be."""

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        with command():
            return super().get(key, default)


def command() -> AbstractContextManager[Any]:
    return trace.get_tracer("opentelemetry.instrumentation.redis").start_as_current_span("GET")


class BrokenCache(SiteCache):
    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        raise ConnectionError(f"refused for {key}")


@pytest.fixture
def handler(tmp_path: Path, migrated: Path) -> Iterator[CacheHandler]:
    here = "tests.unit.test_cache"
    made = CacheHandler(
        {
            "local": {
                "BACKEND": LOCMEM,
                "LOCATION": str(tmp_path),
                "KEY_PREFIX": "p",
                "VERSION": 3,
            },
            "file": {
                "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
                "LOCATION": str(tmp_path),
            },
            "dummy": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
            "table": {
                "BACKEND": "django.core.cache.backends.db.DatabaseCache",
                "LOCATION": "cache_table",
            },
            "site": {"BACKEND": f"{here}.SiteCache"},
            "mixed": {"BACKEND": f"{here}.MixedCache"},
            "remote": {"BACKEND": f"{here}.RemoteCache"},
            "broken": {"BACKEND": f"{here}.BrokenCache"},
        }
    )
    with override_settings(CACHES=made.settings):
        call_command("createcachetable", verbosity=0)
    yield made
    for cache in made.all(initialized_only=True):
        cache.clear()


REAL = ("local", "file", "table", "site", "mixed")


def told(captured: Captured) -> list[tuple[str, Any]]:
    return [
        (span.name, span.attributes.get("django.cache.hit"))
        for span in captured.spans
        if "django.cache.operation" in span.attributes
    ]


@pytest.mark.parametrize("alias", REAL)
def test_every_operation_is_one_span(handler: CacheHandler, alias: str) -> None:
    with capture() as captured:
        cache = handler[alias]
        assert cache.get("user:1") is None
        cache.set("user:1", 5)
        assert cache.get("user:1") == 5
        assert cache.incr("user:1") == 6
        assert cache.decr("user:1", 2) == 4
        assert cache.get_or_set("user:2", lambda: 7) == 7
        assert cache.get_or_set("user:2", 8) == 7
        assert "user:1" in cache
        assert cache.touch("user:1")
        assert not cache.add("user:1", 9)
        assert cache.delete("user:1")
        cache.clear()
    assert told(captured) == [
        (f"get {alias}", False),
        (f"set {alias}", None),
        (f"get {alias}", True),
        (f"incr {alias}", True),
        (f"decr {alias}", True),
        (f"get_or_set {alias}", False),
        (f"get_or_set {alias}", True),
        (f"has_key {alias}", True),
        (f"touch {alias}", True),
        (f"add {alias}", None),
        (f"delete {alias}", None),
        (f"clear {alias}", None),
    ]


@pytest.mark.parametrize("alias", REAL)
def test_operations_on_many_keys_tell_their_number(handler: CacheHandler, alias: str) -> None:
    with capture() as captured:
        cache = handler[alias]
        cache.set_many({"a:1": 1, "a:2": 2})
        assert cache.get_many(["a:1", "a:2", "a:3"]) == {"a:1": 1, "a:2": 2}
        cache.get_many(iter(["a:1"]))
        cache.delete_many(["a:1", "a:2"])
    spans = [span for span in captured.spans if span.name.endswith(f"_many {alias}")]
    assert [span.attributes["django.cache.operation"] for span in spans] == [
        "set_many",
        "get_many",
        "get_many",
        "delete_many",
    ]
    assert [span.attributes.get("django.cache.count") for span in spans] == [2, 3, None, 2]
    assert [span.attributes.get("django.cache.hits") for span in spans] == [None, 2, 1, None]


@pytest.mark.parametrize("alias", REAL)
def test_async_operations_are_one_span_each(handler: CacheHandler, alias: str) -> None:
    async def use() -> None:
        cache = handler[alias]
        await cache.aset("user:1", 5)
        assert await cache.aget("user:1") == 5
        assert await cache.aget_or_set("user:2", lambda: 7) == 7
        assert await cache.aincr("user:2") == 8
        assert len(await cache.aget_many(["user:1", "user:2"])) == 2
        assert await cache.ahas_key("user:1")
        await cache.adelete("user:1")

    with capture() as captured:
        async_to_sync(use)()
    operations = ("set", "get", "get_or_set", "incr", "get_many", "has_key", "delete")
    assert [name for name, _ in told(captured)] == [f"{name} {alias}" for name in operations]
    assert [hit for _, hit in told(captured)] == [None, True, False, True, None, True, None]


def test_what_a_span_tells(handler: CacheHandler) -> None:
    with capture() as captured:
        handler["local"].set(f"user:{SECRET}", SECRET)
    (span,) = captured.spans
    assert span.kind == "CLIENT"
    assert span.attributes == {
        "django.cache.operation": "set",
        "django.cache.backend": LOCMEM,
        "django.cache.alias": "local",
        "django.cache.key_prefix": "user",
    }


def test_a_stored_none_or_false_is_a_hit(handler: CacheHandler) -> None:
    with capture() as captured:
        cache = handler["local"]
        cache.set_many({"n:1": None, "n:2": False})
        assert cache.get("n:1", "default") is None
        assert cache.get("n:1") is None
        assert cache.get("n:2", False) is False
        assert cache.get("n:3", default=False) is False
        assert cache.get("n:3") is None
    assert [hit for _, hit in told(captured)] == [None, True, True, True, False, False]


def test_queries_of_a_cache_in_a_table_hang_below_its_span(handler: CacheHandler) -> None:
    with capture() as captured:
        handler["table"].get("a:1")
    (get,) = captured.roots
    assert get.name == "get table"
    assert [child.attributes["db.collection.name"] for child in get.children] == ["cache_table"]


def test_the_default_of_get_or_set_is_the_callers_code(handler: CacheHandler) -> None:
    def default() -> int:
        handler["file"].set("b:1", 1)
        return int(handler["local"].get("c:1", 5))

    with capture() as captured:
        assert handler["local"].get_or_set("a:1", default) == 5
    assert [name for name, _ in told(captured)] == ["get_or_set local", "set file", "get local"]
    (root,) = captured.roots
    assert [child.name for child in root.children] == ["set file", "get local"]


def test_incrementing_a_missing_key_is_a_miss(handler: CacheHandler) -> None:
    with capture() as captured, pytest.raises(ValueError, match="not found"):
        handler["local"].incr(f"user:{SECRET}")
    (span,) = captured.spans
    assert span.status == "UNSET"
    assert span.attributes["django.cache.hit"] is False
    assert SECRET not in repr(span)


def test_an_error_tells_its_type_alone(handler: CacheHandler) -> None:
    with capture() as captured, pytest.raises(ConnectionError):
        handler["broken"].get(f"user:{SECRET}")
    (span,) = captured.spans
    assert span.status == "ERROR"
    assert span.attributes["error.type"] == "ConnectionError"
    assert SECRET not in repr(span)


def test_the_dummy_backend_misses(handler: CacheHandler) -> None:
    with capture() as captured:
        handler["dummy"].set("a:1", 1)
        handler["dummy"].get("a:1")
    assert told(captured) == [("set dummy", None), ("get dummy", False)]


def test_the_sites_own_cache_and_sessions_are_covered() -> None:
    from django.contrib.sessions.backends.cache import SessionStore

    with capture() as captured:
        caches["default"].get("user:1")
        session = SessionStore()
        session["a"] = SECRET
        session.save()
        SessionStore(session.session_key).load()
    assert len(told(captured)) >= 3
    prefixes = {span.attributes["django.cache.key_prefix"] for span in captured.spans}
    assert prefixes == {"user", "django.contrib.sessions.cache"}
    assert str(session.session_key) not in repr(captured.spans)


# --- keys


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("user:42", "user"),
        ("user:42:profile", "user"),
        ("user_42", "user"),
        ("shop.product.17", "shop.product"),
        ("page-3", "page"),
        ("homepage", None),
        ("6f9619ff-8b86-d011-b42d-00cf4fc964ff", None),
        ("bob@example.com:inbox", None),
        ("with space:1", None),
        ("v2:user:1", None),
        (":user", None),
        (17, None),
        (None, None),
        ("django.contrib.sessions.cached_dbabcdefghijklmnop", "django.contrib.sessions.cached_db"),
        ("views.decorators.cache.cache_page..GET.abc", "views.decorators.cache.cache_page"),
        ("x" * 100 + ":1", "x" * 64),
    ],
)
def test_the_prefix_of_a_key(key: Any, prefix: str | None) -> None:
    assert key_prefix(key) == prefix


@settings(deadline=None)
@given(st.text(min_size=1))
def test_a_prefix_is_never_the_whole_key(key: str) -> None:
    prefix = key_prefix(key)
    assert prefix is None or key.startswith(prefix)
    assert prefix != key or key in DJANGO_KEYS


# --- patches


def test_uninstall_leaves_the_backends_as_they_were(handler: CacheHandler) -> None:
    classes = (CacheHandler, BaseCache, LocMemCache, SiteCache, MixedCache, Shouting)
    before = [dict(vars(cls)) for cls in classes]
    runtime = Runtime(Settings(strict=True), collect=_never)
    instrumentation = CacheInstrumentation()
    for _ in range(2):
        instrumentation.install(runtime.provider.tracer("test"), Settings())
        instrumentation.install(runtime.provider.tracer("test"), Settings())
        for alias in REAL:
            handler[alias].get("a:1")
        CacheHandler(handler.settings)["mixed"].get("a:1")
        assert [dict(vars(cls)) for cls in classes] != before
        instrumentation.uninstall()
        for cls, attributes in zip(classes, before, strict=True):
            assert vars(cls).keys() == attributes.keys()
            assert all(vars(cls)[name] is value for name, value in attributes.items())


def test_a_mixin_that_is_no_cache_is_left_alone(handler: CacheHandler) -> None:
    before = Shouting.get
    with capture():
        handler["mixed"].get("a:1")
        assert Shouting.get is before


def test_without_a_request_nothing_is_recorded(handler: CacheHandler) -> None:
    runtime = Runtime(Settings(strict=True), collect=_never)
    runtime.install()
    try:
        handler["local"].set("a:1", 1)
        assert handler["local"].get("a:1") == 1
    finally:
        runtime.uninstall()


def test_methods_that_others_wrap_on_each_cache_they_make(monkeypatch: pytest.MonkeyPatch) -> None:
    made = CacheHandler.create_connection

    def create_connection(handler: CacheHandler, alias: str) -> Any:
        cache = made(handler, alias)
        cache.get = functools.partial(cache.get)  # type: ignore[method-assign]
        return cache

    monkeypatch.setattr(CacheHandler, "create_connection", create_connection)
    with capture() as captured:
        cache = CacheHandler({"default": {"BACKEND": f"{__name__}.SiteCache"}})["default"]
        cache.get("a:1")
    captured.one("get default")


def test_a_cache_made_before_install_knows_its_alias() -> None:
    caches["default"].set("a:1", 1)
    with capture() as captured:
        caches["default"].get("a:1")
    assert told(captured) == [("get default", True)]


def test_a_cache_made_before_install_in_another_thread() -> None:
    made, go = threading.Event(), threading.Event()
    found: list[int] = []
    parents: list[Span] = []

    def work() -> None:
        assert caches["default"].get("thread:1") is None
        made.set()
        go.wait(10)
        current.attach(parents[0])
        found.append(caches["default"].get("thread:1", 5))

    thread = threading.Thread(target=work)
    thread.start()
    assert made.wait(10)
    del caches["default"]  # this thread has none, so that nothing of it is known at install
    with capture() as captured:
        parent = current.recording_span()
        assert parent is not None
        parents.append(parent)
        go.set()
        thread.join()
    assert found == [5]
    assert told(captured) == [("get default", False)]


def test_attribute_limits_hold(handler: CacheHandler) -> None:
    spans: list[Span] = []
    limits = SpanLimitSettings(attributes=3, value_length=4)
    runtime = Runtime(Settings(strict=True, span_limits=limits), collect=spans.append)
    runtime.install()
    root = runtime.provider.tracer("test").begin_local_root("request", SpanKind.SERVER, {})
    token = current.attach(root)
    try:
        handler["local"].set("somewhat_long:1", 1)
    finally:
        current.detach(token)
        runtime.uninstall()
    (span,) = spans
    assert len(span._attributes) == 3
    assert all(len(value) <= 4 for value in span._attributes.values())


def _never(span: Span) -> None:
    raise AssertionError(f"recorded {span}")


def test_a_command_that_an_instrumented_client_runs_for_an_operation_is_no_span_of_its_own(
    handler: CacheHandler,
) -> None:
    def default() -> int:
        with command():  # the site's own
            return 5

    with capture() as captured:
        cache = handler["remote"]
        cache.get("a")
        async_to_sync(cache.aget)("a")
        cache.get_or_set("b", default)
        with command():
            pass
    names = [(span.name, [child.name for child in span.children]) for span in captured.roots]
    assert names == [
        ("get remote", []),
        ("get remote", []),
        ("get_or_set remote", ["GET"]),
        ("GET", []),
    ]
