"""The pages of errors: what broke, since when, and what staff decided about it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from opentelemetry.sdk.resources import Resource

from otel_django import names
from otel_django.models import ErrorGroupState
from tests import viewer_kit
from tests.endpoints_kit import by_token, ours
from tests.store_logs import record
from tests.viewer_kit import rows, shown, text

HOSTILE = "<script>alert(1)</script>\u202e\x07"
TRACE = 0xABCD << 112 | 0x1
STACK = """Traceback (most recent call last):
  File "django/core/handlers/base.py", line 198, in _get_response
    response = wrapped_callback(request)
  File "{path}", line 42, in pay
    raise {name}(message)
{name}: {message}
"""


class Log(viewer_kit.Telemetry):
    """Exceptions that a site has logged."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.numbers = itertools.count()

    def raised(
        self,
        name: str = "ValueError",
        message: str = "no address",
        *,
        path: str = "orders/views.py",
        ago_s: float = 60,
        times: int = 1,
        service: str = "shop",
        release: str = "",
        route: str = "/checkout/",
    ) -> None:
        records = [
            record(
                f"Internal Server Error: {route}",
                level="error",
                time_ns=self.now_ns - int(ago_s * 1e9),
                trace_id=TRACE + next(self.numbers),
                span_id=7,
                http__route=route,
                exception__type=name,
                exception__message=message,
                exception__stacktrace=STACK.format(name=name, message=message, path=path),
            )
            for _ in range(times)
        ]
        attributes = {names.SERVICE_NAME: service, names.SERVICE_VERSION: release}
        for each in records:
            each.resource = Resource({key: value for key, value in attributes.items() if value})
        self.logs.accept(records)
        self.keep()


@pytest.fixture
def log(tmp_path: Path, migrated: Path) -> Iterator[Log]:
    ErrorGroupState._base_manager.all().delete()
    with shown(Log(tmp_path)) as made:
        yield made


@pytest.fixture
def staff(log: Log) -> Client:
    client = Client(enforce_csrf_checks=True, REMOTE_ADDR="192.0.2.1")
    client.force_login(User.objects.get_or_create(username="ada", is_staff=True)[0])
    return client


def page(path: str = "errors/", client: Client | None = None, status: int = 200) -> str:
    response = (client or by_token()).get(f"/{path}")
    assert response.status_code == status
    return response.content.decode()


def address(html: str, at: int = 0) -> str:
    """The path of a group's page."""
    found: list[str] = re.findall(r'class="main"><a href="/errors/([0-9a-f]{16})/', html)
    return f"errors/{found[at]}/"


def decide(client: Client, path: str, state: str, status: int = 302) -> None:
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page(path, client))
    assert token
    response = client.post(f"/{path}", {"state": state, "csrfmiddlewaretoken": token[1]})
    assert response.status_code == status


# --- the list


def test_errors_alike_are_one_row_that_says_what_where_and_how_often(log: Log) -> None:
    log.raised(message="no address for customer 17", times=2, ago_s=600)
    log.raised(message="no address for customer 4")
    log.raised("KeyError", "'sku'", path="catalogue/search.py", ago_s=120, route="/search/")
    html = page()

    assert text(html).startswith(
        "2 open kinds of errors, 4 times, last hour; most often ValueError in /checkout/ (3×)"
    )
    assert len(rows(html)) == 2
    assert rows(html)[0].startswith(
        "ValueError no address for customer 4 orders/views.py:42 /checkout/ 3 10 min ago 1 min ago"
    )
    assert rows(html)[1].startswith("KeyError 'sku' catalogue/search.py:42 /search/ 1 2 min ago")


def test_a_refusal_that_django_answers_by_4xx_is_no_error(log: Log) -> None:
    told = (("warning", 403), ("warning", 400), ("error", 500), ("warning", 500))
    for level, status in told:
        fields: dict[str, Any] = {"status_code": status, "exception__type": "Refused"}
        log.logs.accept([record("no", level=level, time_ns=log.now_ns, **fields)])
    log.keep()
    assert text(page()).startswith("1 open kind of errors, 2 times")


def test_headings_sort_by_times_and_by_first_seen(log: Log) -> None:
    log.raised("AError", times=3, ago_s=1200, path="a.py")
    log.raised("BError", times=1, ago_s=60, path="b.py")
    log.raised("CError", times=9, ago_s=600, path="c.py")

    def order(query: str) -> list[str]:
        return [row[0] for row in rows(page(f"errors/{query}"))]

    assert order("") == ["B", "C", "A"]
    assert order("?sort=count") == ["C", "A", "B"]
    assert order("?sort=-first") == ["A", "C", "B"]
    assert order("?sort=what") == ["A", "B", "C"]


def test_words_and_the_service_narrow_the_list(log: Log) -> None:
    log.raised("AError", "the bank refused", path="a.py")
    log.raised("BError", "too late", path="b.py", service="mail")

    assert [row[0] for row in rows(page("errors/?q=BANK"))] == ["A"]
    assert [row[0] for row in rows(page("errors/?service=mail"))] == ["B"]
    assert "No error has that. Show all" in text(page("errors/?q=nothing"))


def test_what_came_with_the_newest_release_is_marked(log: Log) -> None:
    log.raised("OldError", path="old.py", release="1.2.2", ago_s=1800)
    log.raised("NewError", path="new.py", release="1.2.3")
    html = page()

    assert "NewError new in 1.2.3" in rows(html)[0]
    assert "new" not in rows(html)[1].lower()
    assert "; 1 new; most often" in text(html)


def test_without_releases_what_began_in_the_range_is_new_beside_older_ones(log: Log) -> None:
    log.raised("OldError", path="old.py", ago_s=4 * 3600)
    log.raised("OldError", path="old.py", ago_s=100)
    log.raised("NewError", path="new.py")
    html = page()
    assert rows(html)[0].startswith("NewError new no address")
    assert rows(html)[1].startswith("OldError no address")


def test_without_errors_the_page_says_what_would_be_there(log: Log) -> None:
    assert text(page()).startswith("No open errors, last hour")
    assert "No exceptions in this range." in text(page())


# --- states


def test_staff_resolve_and_a_group_that_is_seen_again_says_so(log: Log, staff: Client) -> None:
    log.raised(release="1.2.2")
    path = address(page())
    decide(staff, path, "resolved")

    assert "None are open. 1 in other states" in text(page())
    assert rows(page("errors/?state=resolved"))[0].startswith("ValueError resolved")
    assert "Resolved by ada just now, when 1.2.2 was its newest release." in text(page(path, staff))
    log.raised(release="1.2.3", ago_s=-1)
    back = page()
    assert rows(back)[0].startswith("ValueError back")
    assert "1 back after being resolved" in text(back)
    shown = text(page(path, staff))
    assert "It is back: resolved by ada" in shown
    assert "seen again" in shown
    assert "in 1.2.3." in shown


def test_staff_ignore_and_open_again(log: Log, staff: Client) -> None:
    log.raised()
    path = address(page())
    decide(staff, path, "ignored")
    log.raised(ago_s=-1)
    assert rows(page("errors/?state=ignored"))[0].startswith("ValueError ignored")
    decide(staff, path, "open")
    assert "Opened again by ada" in text(page(path, staff))
    assert len(rows(page())) == 1


def test_after_a_decision_the_range_is_what_it_was(log: Log, staff: Client) -> None:
    log.raised(ago_s=5 * 3600)
    path = address(page("errors/?range=24h"))
    html = page(f"{path}?range=24h", staff)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', html)
    assert token
    assert f'action="/{path}?range=24h"' in html
    response = staff.post(
        f"/{path}?range=24h", {"state": "resolved", "csrfmiddlewaretoken": token[1]}
    )
    assert response.headers["Location"] == f"/{path}?range=24h"


def test_nothing_is_changed_without_the_token_of_the_form(log: Log, staff: Client) -> None:
    log.raised()
    path = address(page())
    page(path, staff)
    response = staff.post(f"/{path}", {"state": "resolved"})
    assert response.status_code == 403
    assert "Nothing was changed" in response.content.decode()
    assert not ErrorGroupState._base_manager.exists()


def test_nothing_is_changed_by_others_than_staff_nor_by_looking(log: Log, staff: Client) -> None:
    log.raised()
    path = address(page())
    customer = Client(REMOTE_ADDR="192.0.2.1")
    customer.force_login(User.objects.get_or_create(username="eve")[0])
    for client in (customer, by_token()):
        assert client.post(f"/{path}", {"state": "resolved"}).status_code in {302, 403}
    assert "Staff can resolve or ignore it" in text(page(path))
    page(f"{path}?state=resolved", staff)
    assert staff.put(f"/{path}").status_code == 405
    assert staff.put(f"/{path}").headers["Allow"] == "GET, HEAD, POST"
    assert by_token().post("/errors/").headers["Allow"] == "GET, HEAD"
    assert not ErrorGroupState._base_manager.exists()


def test_other_words_than_the_states_and_unknown_groups_change_nothing(
    log: Log, staff: Client
) -> None:
    log.raised()
    path = address(page())
    decide(staff, path, "deleted", status=404)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page(path, staff))
    assert token
    sent = {"state": "ignored", "csrfmiddlewaretoken": token[1]}
    assert staff.post(f"/errors/{'0' * 16}/", sent).status_code == 404
    assert not ErrorGroupState._base_manager.exists()


def test_without_its_table_errors_are_shown_and_cannot_be_changed(log: Log, staff: Client) -> None:
    log.raised()
    path = address(page())
    with connection.schema_editor() as editor:
        editor.delete_model(ErrorGroupState)
    try:
        html = page()
        assert len(rows(html)) == 1
        assert "All are shown as open" in text(html)
        shown = page(path, staff)
        assert "`manage.py migrate otel_django` makes it" in text(shown)
        assert 'name="state"' not in shown
        token = "a" * 32
        staff.cookies["csrftoken"] = token
        response = staff.post(f"/{path}", {"state": "ignored", "csrfmiddlewaretoken": token})
        assert response.status_code == 503
        assert "Nothing was changed." in response.content.decode()
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(ErrorGroupState)


def test_with_a_database_that_the_site_has_not_errors_are_shown(log: Log) -> None:
    log.raised()
    with ours(TOKENS=["sesame"], STORE=str(log.path), DATABASE="nowhere"):
        assert "All are shown as open" in text(page())


# --- one group


def test_a_group_has_its_stack_trace_and_what_it_belongs_to(log: Log) -> None:
    log.raised(release="1.2.2", ago_s=300)
    log.raised(release="1.2.3", times=2)
    html = page(address(page()))
    shown = text(html)

    assert shown.startswith("Errors ValueError: no address 3 times, last hour; last 1 min ago")
    assert "orders/views.py:42 in pay raise ValueError(message)" in shown
    assert '<li class="library"><span class="mono">django/core/handlers/base.py:198' in html
    assert "Releases 1.2.2, 1.2.3" in shown
    assert '<a href="/traces/?q=route%3A%2Fcheckout%2F">/checkout/</a>' in html
    assert f'href="/traces/{TRACE + 2:032x}/?span=0000000000000007"' in html
    [line, *_] = re.findall(r'href="(/logs/\?at=[^"]+)"', html)
    assert "no address" in text(page(unescape(line)[1:]))


def test_a_group_out_of_the_range_is_shown_with_a_word(log: Log) -> None:
    log.raised(ago_s=5 * 3600)
    path = address(page("errors/?range=24h"))
    assert "Not in the last hour; last 5 h ago" in text(page(path))


def test_a_group_that_is_not_kept_is_a_404_that_says_so(log: Log) -> None:
    html = page("errors/0123456789abcdef/", status=404)
    assert "No such error is kept" in text(html)


def test_the_course_has_each_times_step(log: Log) -> None:
    log.raised(ago_s=600, times=4)
    html = page(address(page()))
    assert "Times per minute" in text(html)
    table = html.partition("Times by step")[2].partition("</table>")[0]
    assert re.findall(r'class="number">(\d+)</td>', table) == ["4"]


def test_hostile_texts_are_shown_as_text(log: Log) -> None:
    log.raised(HOSTILE, HOSTILE * 1000, path='a"b.py', route=HOSTILE)
    for html in (page(), page(address(page()))):
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;\ufffd\ufffd" in html
        assert "\u202e" not in html
        assert "\x07" not in html
    page("errors/?q=%00%FF&sort=%3Cb%3E&state=%3Cb%3E&range=x&from=9&to=1")
