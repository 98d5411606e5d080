"""The page of services, and where its map puts things."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import SpanContext, SpanKind

from otel_django import names
from otel_django.tracing.span import Span
from otel_django.viewer.service_map import HEIGHT, WIDTH, layout
from tests import viewer_kit
from tests.endpoints_kit import by_token
from tests.store_spans import MS, SpanSource
from tests.viewer_kit import at_second, rows, shown, text

HOSTILE = '<script>alert(1)</script>"\u202e'
QUEUE = {names.MESSAGING_DESTINATION_NAME: "mail", names.MESSAGING_SYSTEM: "redis"}


class Services(viewer_kit.Telemetry):
    """Spans of several services in one store."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.sources: dict[str, SpanSource] = {}
        self.start_ns = self.now_ns - 120 * 10**9

    def source(self, service: str) -> SpanSource:
        if service not in self.sources:
            self.sources[service] = SpanSource(service)
        return self.sources[service]

    def root(self, service: str, name: str = "GET /", caller: Span | None = None) -> Span:
        parent = None
        if caller is not None:
            context = caller.get_span_context()
            parent = SpanContext(context.trace_id, context.span_id, True, context.trace_flags)
        return self.source(service).root(name, start=self.start_ns, parent=parent)

    def call(
        self, service: str, parent: Span, kind: SpanKind = SpanKind.CLIENT, **attributes: Any
    ) -> Span:
        plain = {key.replace("__", "."): value for key, value in attributes.items()}
        tracer = self.source(service).tracer
        span = tracer.begin("call", kind, plain, parent, self.start_ns + MS)
        assert isinstance(span, Span)
        return span

    def end(self, *spans: Span, ms: int = 20, failed: bool = False) -> None:
        for span in spans:
            if failed:
                span.fail("ConnectionError")
            span.end(self.start_ns + ms * MS)

    def http(self, caller: str, callee: str, *, failed: bool = False, ms: int = 20) -> None:
        """A request of one service that calls another one."""
        root = self.root(caller)
        call = self.call(caller, root, server__address=f"{callee}.internal")
        self.end(self.root(callee, "POST /do/", call), call, failed=failed, ms=ms)
        self.end(root)

    def keep(self) -> None:
        for source in self.sources.values():
            self.writer.accept(source.take())
        super().keep()


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with shown(Services(tmp_path)) as made:
        yield made


def page(query: str = "") -> str:
    response = by_token().get(f"/services/{query}")
    assert response.status_code == 200
    return response.content.decode()


def told(html: str) -> list[str]:
    """What the lines of the map say of themselves."""
    return [unescape(each) for each in re.findall(r'<a [^>]*aria-label="([^"]+)">\s*<title>', html)]


# --- the page


def test_services_databases_queues_and_hosts_are_told_and_drawn(services: Services) -> None:
    services.http("front", "shop")
    root = services.root("shop", "GET /cart/")
    services.source("shop").query(root, services.start_ns)
    services.end(services.call("shop", root, server__address="bank.example"))
    services.end(services.call("shop", root, SpanKind.PRODUCER, **QUEUE), root)
    services.keep()
    html = page()

    assert text(html).startswith(
        "2 services, 1 database, 1 queue, 1 HTTP host, last hour; 4 calls between them, none failed"
    )
    assert {each.partition(":")[0] for each in told(html)} == {
        "front → shop",
        "shop → bank.example",
        "shop → postgresql shop",
        "shop → mail",
    }
    assert len(re.findall(r'class="box ', html)) == 5
    assert [each.split()[:2] for each in rows(page("?sort=target"))] == [
        ["shop", "bank.example"],
        ["shop", "mail"],
        ["shop", "postgresql"],
        ["front", "shop"],
    ]


def asked(services: Services, callee: str, *, comes: bool = True, **where: Any) -> None:
    """A request of ``front`` that calls another service by a host's name."""
    root = services.root("front")
    call = services.call("front", root, **where)
    if comes:
        services.end(services.root(callee, "POST /do/", call), ms=10)
    services.end(call, failed=not comes)
    services.end(root)


def test_a_service_that_is_called_by_its_host_stands_once_with_calls_that_never_came(
    services: Services,
) -> None:
    for comes in (True, True, False):
        asked(services, "shop", comes=comes, server__address="shop.internal", server__port=8000)
    services.keep()
    html = page()
    assert text(html).startswith("2 services, last hour; 3 calls between them, 1 failed")
    [line] = told(html)
    assert line.startswith("front → shop: ")
    assert "(3 calls), 33 % failed" in line


def test_services_are_known_by_their_host_whichever_of_both_spans_comes_first(
    services: Services,
) -> None:
    root = services.root("front")
    call = services.call("front", root, server__address="shop.internal")
    services.end(services.root("shop", "POST /do/", call), ms=10)
    services.keep()
    services.end(call, root)
    services.keep()
    assert [each.partition(":")[0] for each in told(page())] == ["front → shop"]


def test_a_gateway_and_hosts_that_tell_nothing_of_themselves_stay_hosts(
    services: Services,
) -> None:
    for callee in ("shop", "mail"):
        asked(services, callee, server__address="gateway")
    asked(services, "", comes=False, server__address="shop", server__port=81)
    services.keep()
    html = page()
    assert text(html).startswith("3 services, 2 HTTP hosts")
    assert {each.partition(": ")[0] for each in told(html)} == {
        "front → gateway",
        "front → shop:81",
        "front → shop",
        "front → mail",
    }


def test_a_line_says_its_rate_failures_and_times_in_words(services: Services) -> None:
    for number in range(10):
        services.http("front", "shop", failed=number == 0, ms=100)
    services.keep()
    html = page()

    [line] = [each for each in told(html) if each.startswith("front → shop:")]
    assert "(10 calls), 10 % failed, mean 99 ms, p95" in line
    assert 'class="line error"' in html
    assert "1 failed, most of all front → shop" in text(html)
    [row] = [each for each in rows(html) if " service " in each]
    assert " 10 % 99 ms" in row


def test_a_line_is_as_thick_as_there_are_calls(services: Services) -> None:
    for _ in range(9):
        services.http("front", "shop")
    services.http("front", "mail")
    services.keep()
    html = page()
    widths = {
        line: float(width)
        for line, width in re.findall(
            r'aria-label="front → (\w+):[^>]+>.*?stroke-width="([\d.]+)"', html, re.DOTALL
        )
    }
    assert widths["shop"] == 6.0
    assert widths["mail"] < widths["shop"] / 2


def test_lines_and_boxes_lead_to_what_they_are_about(services: Services) -> None:
    services.http("front", "shop")
    root = services.root("shop", "GET /cart/")
    services.end(services.call("shop", root, server__address="bank.example"))
    services.end(services.call("shop", root, SpanKind.PRODUCER, **QUEUE), root)
    services.keep()
    html = page("?range=6h")

    assert re.search(r'service=front&amp;q=server.address%3Abank.example" class="line', html)
    assert re.search(r'service=front&amp;q=messaging.destination.name%3Amail" class="line', html)
    assert 'href="/traces/?range=6h&amp;service=front" class="line' in html
    assert 'href="/endpoints/?range=6h&amp;service=shop" class="box' in html
    assert 'href="/tasks/?range=6h" class="box' in html


def test_calls_of_an_inner_service_lead_to_the_traces_of_the_first(services: Services) -> None:
    root = services.root("front")
    call = services.call("front", root, server__address="shop.internal")
    shop = services.root("shop", caller=call)
    services.source("shop").query(shop, services.start_ns)
    services.end(shop, call, root)
    services.keep()
    assert re.search(
        r'href="/traces/\?service=front" class="line [^>]+data-from="service shop"', page()
    )


def test_a_service_is_shown_with_its_neighbours(services: Services) -> None:
    services.http("front", "shop")
    services.http("shop", "payments")
    services.http("other", "elsewhere")
    services.keep()
    html = page("?service=payments")
    assert {each.partition(":")[0] for each in told(html)} == {"shop → payments"}
    assert 'chosen-one" data-box="service payments"' in html
    assert "other" not in text(html).replace("another", "")


def test_services_that_call_nothing_are_drawn_all_the_same(services: Services) -> None:
    services.end(services.root("alone"))
    services.keep()
    with at_second(services, 0):
        assert text(page()).startswith("1 service, last hour alone 1/h")
    assert "Nothing that calls anything else was seen." in text(page())


def test_without_services_the_page_says_what_to_do(services: Services) -> None:
    assert "Nothing ran in this range." in text(page())
    assert "shop did nothing in this range. Show all services" in text(page("?service=shop"))


def test_with_too_many_calls_the_busiest_are_drawn_and_all_listed(services: Services) -> None:
    root = services.root("shop")
    for number in range(90):
        services.end(services.call("shop", root, server__address=f"host-{number}.example"))
    services.end(root)
    services.keep()
    html = page()
    assert len(told(html)) == 80
    assert len(rows(html)) == 90
    assert "The 10 with the fewest calls aren't drawn" in text(html)


def test_services_that_call_in_a_circle_and_hostile_names_are_shown(services: Services) -> None:
    services.http("a", HOSTILE)
    services.http(HOSTILE, "b")
    services.http("b", "a")
    services.keep()
    html = page()
    assert "<script>alert" not in html
    assert "\u202e" not in unescape(re.sub(r'value="[^"]*"', "", html))
    assert "&lt;script&gt;alert" in html
    assert len([each for each in told(html) if ".internal" not in each]) == 3
    assert page("?sort=%00&service=%3Cb%3E&range=%FF")


# --- the layout


def test_callers_stand_left_of_what_they_call() -> None:
    found = layout(["web", "db", "shop"], {("web", "shop"): 5, ("shop", "db"): 9, ("web", "db"): 1})
    columns = [found.boxes[name][0] for name in ("web", "shop", "db")]
    assert columns == sorted(set(columns))


def test_boxes_neither_overlap_nor_leave_the_drawing() -> None:
    names_ = [f"n{number}" for number in range(30)]
    calls = {
        (a, b): 1
        for a, b in itertools.product(names_, names_)
        if int(a[1:]) * 5 % 7 == int(b[1:]) * 3 % 7
    }
    found = layout(names_, calls)
    for (ax, ay), (bx, by) in itertools.combinations(found.boxes.values(), 2):
        assert abs(ax - bx) >= WIDTH or abs(ay - by) >= HEIGHT
    for x, y in found.boxes.values():
        assert 0 <= x <= found.width - WIDTH
        assert 0 <= y <= found.height - HEIGHT
    assert set(found.paths) == {(a, b) for a, b in calls if a != b}


def test_a_line_past_a_layer_goes_round_its_boxes() -> None:
    found = layout(["a", "b", "c"], {("a", "b"): 1, ("b", "c"): 1, ("a", "c"): 1})
    _, top = found.boxes["b"]
    [level] = {float(y) for y in re.findall(r" ([\d.]+) H", found.paths["a", "c"].d)}
    assert not top <= level <= top + HEIGHT


def test_what_nobody_calls_stands_just_left_of_what_it_calls() -> None:
    found = layout(["a", "b", "c", "reports"], {("a", "b"): 1, ("b", "c"): 1, ("reports", "c"): 1})
    assert found.boxes["reports"][0] == found.boxes["b"][0]


def test_of_calls_in_a_circle_one_goes_back() -> None:
    found = layout(["a", "b"], {("a", "b"): 1, ("b", "a"): 1})
    assert found.boxes["a"][0] < found.boxes["b"][0]
    begins = {pair: float(path.d[1:].split()[0]) for pair, path in found.paths.items()}
    assert begins["a", "b"] < begins["b", "a"]


def test_nothing_has_a_layout_too() -> None:
    assert layout([], {}).boxes == {}
