"""Who may send to a receiver, and who may look at its pages."""

from __future__ import annotations

import time

import pytest

from otel_django.receiver.answers import Refused
from otel_django.receiver.door import COOKIE, Door
from otel_django.receiver.limits import asker
from otel_django.receiver.login import login
from otel_django.web.rate_limit import RateLimit

HERE = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:4318"}


class Still:
    def now_ns(self) -> int:
        return 0

    def monotonic_s(self) -> float:
        return 0.0


def sends(door: Door, **environ: str) -> int:
    try:
        door.check_sender({**HERE, **environ})
    except Refused as refused:
        return refused.status
    return 200


def test_without_a_token_only_programs_on_this_machine_come_in() -> None:
    door = Door(())
    assert sends(door) == 200
    assert door.may_look(HERE)
    for other in (
        {"REMOTE_ADDR": "192.0.2.1"},
        {"HTTP_HOST": "evil.example:4318"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
    ):
        assert sends(door, **other) == 403
        assert not door.may_look({**HERE, **other})


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_ORIGIN": "http://evil.example"},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_ORIGIN": "http://[::1"},
        {"HTTP_ORIGIN": "http://localhost:3000"},
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
        {"HTTP_SEC_FETCH_SITE": "same-site"},
    ],
)
def test_a_web_page_of_another_site_can_not_write(headers: dict[str, str]) -> None:
    assert sends(Door(()), **headers) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_web_page_of_another_site_can_lead_to_a_page_and_not_load_it(site: str) -> None:
    def looks(mode: str, dest: str, **more: str) -> bool:
        fetch = {"HTTP_SEC_FETCH_MODE": mode, "HTTP_SEC_FETCH_DEST": dest, **more}
        return Door(()).may_look({**HERE, "HTTP_SEC_FETCH_SITE": site, **fetch})

    assert looks("navigate", "document")
    assert not looks("no-cors", "image")
    assert not looks("no-cors", "script")
    assert not looks("cors", "empty")
    assert not looks("navigate", "iframe")
    assert looks("cors", "empty", HTTP_SEC_FETCH_SITE="same-origin")


def test_a_web_page_of_the_receiver_itself_could() -> None:
    assert sends(Door(()), HTTP_ORIGIN="http://127.0.0.1:4318") == 200


def test_with_a_token_everybody_needs_it() -> None:
    door = Door(("sesame",))
    assert sends(door) == 401
    assert sends(door, HTTP_AUTHORIZATION="Bearer sesam") == 401
    assert sends(door, HTTP_AUTHORIZATION="bearer sesame", REMOTE_ADDR="192.0.2.1") == 200
    assert not door.may_look(HERE)
    assert door.may_look({**HERE, "HTTP_AUTHORIZATION": "Bearer sesame"})


def cookie_of(door: Door) -> str:
    return door.cookie().partition(";")[0]


def test_the_login_s_cookie_lets_in_to_look_and_never_to_send() -> None:
    door = Door(("sesame",))
    cookie = cookie_of(door)
    assert "sesame" not in cookie
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(door.cookie().split("; "))
    assert door.may_look({**HERE, "HTTP_COOKIE": cookie})
    assert sends(door, HTTP_COOKIE=cookie) == 401
    assert not Door(("other",)).may_look({**HERE, "HTTP_COOKIE": cookie})
    assert not Door(()).may_look({"REMOTE_ADDR": "192.0.2.1", "HTTP_COOKIE": cookie})


def test_a_cookie_s_end_can_be_neither_passed_nor_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(("sesame",))
    cookie = cookie_of(door)
    until, _, signature = cookie.removeprefix(f"{COOKIE}=").partition(".")
    later = f"{COOKIE}={int(until) + 1}.{signature}"
    for wrong in (later, f"{COOKIE}=", f"{COOKIE}=.", f"{COOKIE}=ü.ü", "a=b; \x00"):
        assert not door.may_look({**HERE, "HTTP_COOKIE": wrong})
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 8 * 24 * 3600)
    assert not door.may_look({**HERE, "HTTP_COOKIE": cookie})


def test_the_login_leads_to_where_one_was_going_and_to_no_other_site() -> None:
    door = Door(("sesame",))
    post = {**HERE, "REQUEST_METHOD": "POST"}
    for after, found in (
        ("/traces/%3Fq%3Da", "/traces/?q=a"),
        ("//evil.example/", "/"),
        ("/%5Cevil.example/", "/"),
        ("https://evil.example/", "/"),
        ("/%0D%0ASet-Cookie:a=b", "/"),
        ("", "/"),
    ):
        attempts = RateLimit(Still(), 10, 10)
        answer = login(post, b"token=sesame", door, attempts, f"next={after}")
        assert (answer.status, answer.headers["Location"]) == (303, found)


def test_tokens_can_not_be_tried_out_quickly() -> None:
    door, attempts = Door(("sesame",)), RateLimit(Still(), 3, 10)
    post = {**HERE, "REQUEST_METHOD": "POST"}
    found = [login(post, b"token=x", door, attempts, "").status for _ in range(4)]
    assert found == [403, 403, 403, 429]
    answer = login(post, b"token=sesame", door, attempts, "")
    assert answer.status == 429
    assert "Set-Cookie" not in answer.headers


def test_the_addresses_of_one_ipv6_network_count_as_one() -> None:
    door, attempts = Door(("sesame",)), RateLimit(Still(), 3, 10)
    found = [
        login(
            {"REMOTE_ADDR": f"2001:db8::{number}", "REQUEST_METHOD": "POST"},
            b"token=x",
            door,
            attempts,
            "",
        ).status
        for number in range(4)
    ]
    assert found == [403, 403, 403, 429]
    assert asker("2001:db8:0:1::1") != asker("2001:db8:0:2::1")
    assert asker("fe80::1%eth0") == asker("fe80::2%eth0")
    assert asker("::ffff:192.0.2.1") != asker("::ffff:192.0.2.2")
    assert asker("192.0.2.1") != asker("192.0.2.2")


def test_what_the_address_says_is_shown_as_text() -> None:
    get = {**HERE, "REQUEST_METHOD": "GET"}
    page = login(get, b"", Door(("sesame",)), RateLimit(Still(), 3, 3), 'next=/"><script>x')
    assert b"<script>" not in page.body
