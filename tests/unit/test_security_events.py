"""``security.…``: logins, and what Django refuses."""

from __future__ import annotations

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.test import Client, RequestFactory

from otel_django import names
from otel_django.testing import Captured, CapturedLog, capture

SECRET = "Zx9MARKq7Zx9"


def events(captured: Captured) -> list[CapturedLog]:
    return [log for log in captured.logs if log.event.startswith("security.")]


@pytest.fixture
def user(database: None) -> User:
    made: User = User.objects.create_user("ursula", password=SECRET)
    return made


def test_a_login_is_told_with_the_hash_that_spans_have(user: User) -> None:
    client = Client()
    with capture(user_id="hash") as captured:
        client.force_login(user)
        client.get("/user/")
    (log,) = events(captured)
    (span,) = [span for span in captured.spans if span.name == "GET /user/"]
    assert (log.event, log.level) == (names.LOGIN_SUCCEEDED, "info")
    assert log.attributes[names.USER_HASH] == span.attributes[names.USER_HASH]
    (finished,) = [log for log in captured.logs if log.event == names.REQUEST_FINISHED]
    assert finished.attributes[names.USER_HASH] == span.attributes[names.USER_HASH]


def test_a_failed_login_tells_neither_name_nor_password(user: User) -> None:
    with capture() as captured:
        for name in ("ursula", "nobody", "ursula"):
            authenticate(RequestFactory().post("/"), username=name, password=f"not {SECRET}")
    first, other, again = events(captured)
    assert (first.event, first.level) == (names.LOGIN_FAILED, "warning")
    hashes = [log.attributes[names.USER_HASH] for log in (first, other, again)]
    assert hashes[0] == hashes[2] != hashes[1]
    assert "ursula" not in str(captured.logs)
    assert SECRET not in str(captured.logs)


@pytest.mark.parametrize(
    ("path", "host", "event"),
    [
        ("/raises-403/", "testserver", names.PERMISSION_DENIED),
        ("/raises-400/", "testserver", names.SUSPICIOUS_OPERATION),
        ("/plain/", "evil.example", names.SUSPICIOUS_OPERATION),
    ],
)
def test_what_is_refused_is_told_by_djangos_record_alone(path: str, host: str, event: str) -> None:
    with capture() as captured:
        Client(raise_request_exception=False).get(path, headers={"host": host})
    (log,) = events(captured)
    (finished,) = [log for log in captured.logs if log.event == names.REQUEST_FINISHED]
    assert log.event == event
    assert log.span_id == finished.span_id
    assert log.attributes[names.MESSAGE]
    assert len([log for log in captured.logs if log.logger.startswith("django.")]) == 1


def test_a_form_without_its_token_is_told_without_what_it_holds() -> None:
    with capture() as captured:
        Client(enforce_csrf_checks=True).post("/plain/", {"csrfmiddlewaretoken": SECRET})
    (log,) = events(captured)
    assert (log.event, log.level) == (names.CSRF_FAILED, "warning")
    assert SECRET not in str(captured.logs)
