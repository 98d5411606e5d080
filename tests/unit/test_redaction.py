"""Nothing secret passes the one function that all outgoing text passes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_django.conf import SpanLimitSettings
from otel_django.tracing.exceptions import ExceptionFormatter, exception_type
from otel_django.tracing.limits import Normaliser
from otel_django.tracing.redaction import MASK, SENSITIVE_NAMES, Redactor

SECRET = "Xq7SECRETq7X"

redactor = Redactor(["national_insurance"])


@pytest.mark.parametrize(
    "text",
    [
        "https://user:{}@example.com/path",
        "postgres://user:p@{}/w@db.example.com/shop",
        "redis://:{}@cache:6379/0",
        "https://example.com/search?q={}&page=2",
        "/relative/path?anything={}",
        "GET /x?a=1&b={} HTTP/1.1",
        "Authorization: Bearer {}",
        "authorization: Custom scheme {} more {}",
        "Cookie: sessionid={}; other=1",
        "{{'password': '{}'}}",
        '{{"api_key": "{}"}}',
        "password={}",
        "PASSWORD: {}",
        "db_password = '{} with blanks {}'",
        "userPassword=>{}",
        "meta['HTTP_COOKIE']='a={}'",
        "request.POST['csrfmiddlewaretoken']={}",
        "Bearer {}",
        "Basic {}",
        "eyJ{}.{}.{}",
        "sk_live_{}",
        "ghp_{}{}",
        "sk_test_{}",
        "rk_live_{}",
        "whsec_{}",
        "npm_{}{}",
        "hf_{}{}",
        "pypi-{}{}{}",
        "AIza{}{}{}",
        "AccountKey={}",
        "https://hooks.slack.com/services/T0/B0/{}",
        "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
        "No such file or directory: '/home/ada/{}.pdf'",
        "cannot open /srv/uploads/{}/file.txt now",
        r"cannot open C:\Users\{}\file.txt now",
        "no such file: token={}",
        "a: password: {}",
        "got msg='password={}'",
        "national_insurance={}",
        "NationalInsurance: {}",
    ],
)
def test_known_shapes_of_secrets_are_masked(text: str) -> None:
    count = text.replace("{{", "").replace("}}", "").count("{}")
    assert SECRET not in redactor.text(text.format(*[SECRET] * count))


@pytest.mark.parametrize(
    "text",
    [
        "GET /checkout/ took 12 ms: slow",
        "Not Found: /api/v1/orders/12",
        "http://127.0.0.1:8000/a/b",
        "https://medium.com/@user/story",
        "expected 3 tokens: got 4",
        "ratio: 0.5, author: Ada",
        "column author.name = 3",
        "'NoneType' object has no attribute 'price'",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redactor.text(text) == text


@given(st.sampled_from(sorted(SENSITIVE_NAMES)), st.sampled_from(["=", ": ", " = ", "=>"]))
def test_every_sensitive_name_masks_its_value(name: str, sign: str) -> None:
    assert SECRET not in redactor.text(f"before {name}{sign}{SECRET} after")
    assert SECRET not in redactor.text(f'{{"{name}": "{SECRET}"}}')
    assert redactor.value(f"app.{name}", SECRET) == MASK


@given(st.text())
def test_it_never_raises_and_masking_twice_changes_nothing(text: str) -> None:
    once = redactor.text(text)
    assert redactor.text(once) == once


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a=",
        "aa=",
        "'",
        "://",
        "?a=",
        "/home/",
        "a:",
        "://a:b",
        "eyJ",
        "basic ",
        "sk-",
        'a="',
        "C:\\",
    ],
)
def test_hostile_text_takes_time_in_proportion_to_its_length(piece: str) -> None:
    """Ten times the text takes about ten times as long; a square would take a hundred."""

    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        best = []
        for _ in range(3):
            start = time.process_time()
            redactor.text(text)
            best.append(time.process_time() - start)
        return min(best)

    short, long = seconds(30_000), seconds(300_000)
    assert long < max(short, 0.001) * 40


def test_query_attributes_keep_names_and_lose_values() -> None:
    assert redactor.value("url.query", "a=1&b=x%20y") == f"a={MASK}&b={MASK}"
    assert redactor.value("url.full", "http://x/?a=1") == f"http://x/?a={MASK}"


@pytest.mark.parametrize(
    "name", ["input_tokens", "author", "cart.total", "monkey", "code.function.name"]
)
def test_harmless_names_are_not_sensitive(name: str) -> None:
    assert not redactor.is_sensitive(name)


def test_values_in_lists_maps_and_bytes_are_masked_too() -> None:
    normaliser = Normaliser(redactor, SpanLimitSettings())
    assert SECRET not in repr(
        normaliser.value("data", {"password": SECRET, "urls": [f"http://u:{SECRET}@h/"]})
    )
    assert normaliser.value("token", SECRET.encode()) == MASK


class Awkward:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_unprintable_value_does_no_harm() -> None:
    assert Normaliser(redactor, SpanLimitSettings()).value("x", Awkward()) == "[unprintable]"


def test_a_cyclic_value_ends() -> None:
    cyclic: list[object] = []
    cyclic.append(cyclic)
    assert "too deep" in repr(Normaliser(redactor, SpanLimitSettings()).value("x", cyclic))


# --- exceptions

formatter = ExceptionFormatter(redactor, Path(__file__).parents[2])


def raised(make: BaseException) -> BaseException:
    try:
        raise make
    except BaseException as exc:
        return exc


def test_a_stack_trace_names_files_relative_to_the_project() -> None:
    text = formatter.stacktrace(raised(ValueError("x")))
    assert 'File "tests/unit/test_redaction.py"' in text
    assert str(Path(__file__).parents[2]) not in text
    assert text.endswith("ValueError: x\n")


def test_local_values_are_never_in_a_stack_trace() -> None:
    def view() -> None:
        password = SECRET
        assert password
        raise KeyError("missing")

    with pytest.raises(KeyError) as caught:
        view()
    assert SECRET not in formatter.stacktrace(caught.value)


def test_a_driver_error_keeps_its_code_and_loses_its_text() -> None:
    import sqlite3

    from django.db import IntegrityError

    inner = sqlite3.IntegrityError(f"UNIQUE constraint failed: {SECRET}")
    outer = IntegrityError(f"Key (email)=({SECRET}) already exists")
    outer.__cause__ = inner
    attributes = formatter.attributes(raised(outer))
    assert SECRET not in repr(attributes)
    assert attributes["exception.type"] == "django.db.utils.IntegrityError"
    assert "database error" in attributes["exception.message"]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("no such table: books_book", "no such table: books_book"),
        ("UNIQUE constraint failed: books_book.isbn, books_book.shop", ...),
        ("no such column: hunter2", "no such column"),
        (
            'relation "books_book" does not exist\nLINE 1: SELECT hunter2',
            'relation "books_book" does not exist',
        ),
        ('column "hunter2" does not exist', "column does not exist"),
        (
            'duplicate key value violates unique constraint "isbn_key"\nDETAIL: Key (a)=(hunter2)',
            'duplicate key value violates unique constraint "isbn_key"',
        ),
        ("Table 'shop.books_book' doesn't exist", ...),
        ("Unknown column 'hunter2' in 'field list'", "Unknown column"),
        ("database is locked", ...),
        ("Duplicate entry 'hunter2' for key 'isbn'", None),
        ("UNIQUE constraint failed: hunter2", None),
        ("no such table: books_book; hunter2", None),
        ('invalid input syntax for type integer: "hunter2"', None),
    ],
)
def test_a_drivers_sentence_that_holds_no_value_is_kept(said: str, kept: object) -> None:
    from django.db import OperationalError

    expected = said if kept is ... else kept or "database error"
    for exc in (OperationalError(said), OperationalError(1146, said)):
        told = formatter.message(exc).removesuffix(" (1146)").removesuffix(" 1146")
        assert told == expected
        assert "hunter2" not in formatter.attributes(raised(exc))["exception.stacktrace"]


def test_chains_notes_and_groups_are_told_and_masked() -> None:
    inner = raised(ValueError(f"token={SECRET}"))
    outer = RuntimeError("outer")
    outer.__context__ = inner
    text = formatter.stacktrace(outer)
    assert "During handling of the above exception" in text
    assert "ValueError: token=[redacted]" in text
    assert SECRET not in text


def test_a_cyclic_chain_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert formatter.stacktrace(first).count("ValueError") == 2


def test_a_very_deep_trace_is_cut_in_the_middle() -> None:
    def deep(level: int) -> None:
        if level:
            deep(level - 1)
        raise ValueError("deep")

    try:
        deep(200)
    except ValueError as exc:
        text = formatter.stacktrace(exc)
    assert "frames left out" in text
    assert text.count("File ") <= 61


def test_types_are_named_in_full_but_builtins() -> None:
    from tests.tracing_kit import Collected

    assert exception_type(ValueError()) == "ValueError"
    assert Collected.__module__ == "tests.tracing_kit"
    assert exception_type(type("Refused", (Exception,), {"__module__": "shop"})()) == "shop.Refused"


@pytest.mark.parametrize(
    ("given", "leaves"),
    [
        ("/srv/site/shop/views.py changed, reloading.", "shop/views.py changed, reloading."),
        (
            "/opt/env/lib/python3.13/site-packages/django/core/x.py:7: Warning",
            "django/core/x.py:7: Warning",
        ),
        ("/srv/site/media/bob.pdf and /srv/other/bob.py", "[path].pdf and [path].py"),
    ],
)
def test_of_a_module_the_path_inside_the_project_is_told(given: str, leaves: str) -> None:
    assert Redactor(project_root=Path("/srv/site")).text(given) == leaves
