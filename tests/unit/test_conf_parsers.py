"""Parsers of settings: total over any text, inverse to what they show, silent about secrets."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from otel_django.conf import list_parsers as lists
from otel_django.conf import parsers as p
from otel_django.conf.parsers import MASK, NOTHING, Parser, Unusable, plain
from otel_django.conf.settings import Settings
from otel_django.conf.variables import VARIABLES

ANY_TEXT = st.text() | st.sampled_from(
    ["http://[::1", "http://a:99999", "1e999", "=", "%", "a=%ff", "(", "999999999999999999999", "٣"]
)
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=5,
)
PARSERS = [pytest.param(variable.parser, id=variable.name) for variable in VARIABLES]


@pytest.mark.parametrize("parser", PARSERS)
@settings(max_examples=25)  # of each of many
@given(text=ANY_TEXT)
def test_a_parser_takes_any_text_or_says_why_not(parser: Parser, text: str) -> None:
    try:
        value = parser.parse(text)
    except Unusable as unusable:
        value = unusable.rest
    if value is not NOTHING:
        assert isinstance(parser.display(value), str)
    assert isinstance(parser.mask(text), str)


@given(value=ANY_VALUE)
@example(value=float("inf"))
@example(value=10**5000)
@example(value={"a": {"b": "c"}})
def test_any_python_value_becomes_plain_or_is_refused(value: Any) -> None:
    try:
        raw = plain(value)
    except Unusable:
        return
    assert raw is None or raw
    assert isinstance(raw, str | tuple | dict | None)


@given(value=ANY_VALUE)
def test_any_python_value_can_be_written_in_a_message(value: Any) -> None:
    assert isinstance(p.written(value), str)


def test_defaults_of_the_table_are_those_of_the_fields() -> None:
    for variable in VARIABLES:
        if not variable.default or variable.default.startswith("("):
            continue
        field: Any = Settings()
        for name in variable.field.split("."):
            field = getattr(field, name)
        assert variable.parser.parse(variable.default) == field, variable.name


# --- what is shown can be read again


def _reads_back(parser: Parser, value: object) -> None:
    assert parser.parse(parser.show(value)) == value


@given(st.decimals(0, 10**6, places=3))
def test_milliseconds_read_back(milliseconds: Any) -> None:
    parser = p.number("milliseconds", per_unit=1000)
    seconds = parser.parse(str(milliseconds))
    assert seconds == pytest.approx(float(milliseconds) / 1000)
    assert parser.parse(parser.show(seconds)) == pytest.approx(seconds)


@given(st.integers(1, 10**12))
def test_whole_numbers_read_back(value: int) -> None:
    _reads_back(p.whole(1), value)


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_pairs_read_back(value: dict[str, str]) -> None:
    stripped = {key.strip(): item.strip() for key, item in value.items() if key.strip()}
    _reads_back(lists.pairs(), stripped)


_TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~", min_size=1)
_ASCII = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)).map(str.strip)


@given(st.dictionaries(_TOKEN, _ASCII))
def test_headers_read_back(value: dict[str, str]) -> None:
    _reads_back(lists.headers(), value)


@given(
    st.lists(
        st.ip_addresses(v=4).map(ipaddress.ip_network)
        | st.ip_addresses(v=6).map(ipaddress.ip_network),
        min_size=1,
        unique=True,
    )
)
def test_networks_read_back(value: list[lists.Network]) -> None:
    _reads_back(lists.networks("auto"), tuple(value))


@given(st.sets(st.sampled_from(["errors", "slow"])))
def test_sets_read_back(value: set[str]) -> None:
    _reads_back(lists.some_of("errors", "slow"), frozenset(value))


@pytest.mark.parametrize("value", [True, False, None])
def test_the_three_states_read_back(value: bool | None) -> None:
    _reads_back(p.tristate(), value)


# --- what each kind means


@pytest.mark.parametrize(
    ("parser", "text", "value"),
    [
        (p.boolean(), "TRUE", True),
        (p.switch(), "0", False),
        (p.switch(), "On", True),
        (p.tristate(), "Auto", None),
        (p.choice("a", "b"), "B", "b"),
        (p.whole(2, off=True), "off", 0),
        (p.whole(2, off=True), "0", 0),
        (p.number("milliseconds", per_unit=1000), "250", 0.25),
        (p.number(), ".5e1", 5.0),
        (p.path("on", "off"), "OFF", "off"),
        (p.path("on", "off"), "/srv/Data.sqlite3", "/srv/Data.sqlite3"),
        (lists.names(), " a, ,b,a ", ("a", "b")),
        (lists.several_of("x", "y"), "Y,x", ("y", "x")),
        (lists.several_of("x", "y"), "none", ()),
        (lists.lowered(), "HTTP,database/dup", frozenset({"http", "database/dup"})),
        (lists.pairs(), "a=b%2Cc, d = e=f", {"a": "b,c", "d": "e=f"}),
        (lists.headers(), "X-Key=a%20b", {"x-key": "a b"}),
        (lists.networks("auto"), "10.1.2.3/8", (ipaddress.ip_network("10.0.0.0/8"),)),
        (lists.networks("auto"), "AUTO", "auto"),
    ],
)
def test_a_value_is_read(parser: Parser, text: str, value: object) -> None:
    assert parser.parse(text) == value


@pytest.mark.parametrize(
    ("parser", "text"),
    [
        (p.boolean(), "yes"),
        (p.boolean(), "1"),
        (p.whole(), "1.5"),
        (p.whole(), "1_000"),
        (p.whole(2, off=True), "1"),
        (p.number(), "nan"),
        (p.number(), "inf"),
        (p.number(), "-1"),
        (p.number(above=True), "0"),
        (p.number(most=1), "1.01"),
        (p.endpoint(), "ftp://host"),
        (p.endpoint(), "http://"),
        (p.endpoint(), "http://host:port"),
        (p.endpoint(), "http://a b"),
        (lists.networks("auto"), "example.com"),
    ],
)
def test_a_value_is_refused(parser: Parser, text: str) -> None:
    with pytest.raises(Unusable):
        parser.parse(text)


@pytest.mark.parametrize(
    ("parser", "text", "rest"),
    [
        (lists.some_of("errors", "slow"), "errors,fast", frozenset({"errors"})),
        (lists.several_of("x", "y"), "none,x", ("x",)),
        (lists.regexes(), "^ok,(", ("^ok",)),
        (lists.pairs(), "a=b,c", {"a": "b"}),
        (lists.headers(), "a=b,c d=e", {"a": "b"}),
        (lists.headers(), "a=b,c=d%0d%0ae", {"a": "b"}),
        (lists.networks("auto"), "10.0.0.0/8,x", (ipaddress.ip_network("10.0.0.0/8"),)),
    ],
)
def test_the_good_part_of_a_list_is_kept(parser: Parser, text: str, rest: object) -> None:
    with pytest.raises(Unusable) as caught:
        parser.parse(text)
    assert caught.value.rest == rest


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (True, "true"),
        (500, "500"),
        (2.0, "2"),
        (0.25, "0.25"),
        (Path("/x"), "/x"),
        (["errors", "slow"], ("errors", "slow")),
        ({"slow", "errors"}, ("errors", "slow")),
        ({"a": 1}, {"a": "1"}),
        ([ipaddress.ip_network("10.0.0.0/8")], ("10.0.0.0/8",)),
        ("  ", None),
        ([], None),
        (None, None),
    ],
)
def test_python_values_are_read_like_text(value: object, raw: object) -> None:
    assert plain(value) == raw


def test_regular_expressions_with_commas_can_be_given_as_a_list() -> None:
    assert lists.regexes().parse(("a{1,2}", "b")) == ("a{1,2}", "b")


# --- secrets


@given(secret=st.text("abcXYZ0123456789@:?/%#", min_size=1))
def test_no_part_of_an_endpoints_password_is_shown(secret: str) -> None:
    shown = p.mask_url(f"http://user:<{secret}>@collector:4318/v1/traces?key=<{secret}>")
    assert f"<{secret}>" not in shown
    assert "user" not in shown


def test_what_is_no_secret_in_an_endpoint_is_shown() -> None:
    assert p.mask_url("http://u:p@c:4318/v1?k=v") == f"http://{MASK}@c:4318/v1?{MASK}"
    assert p.mask_url("u:p@c:4318") == f"{MASK}@c:4318"
    assert p.mask_url("https://c:4318/v1") == "https://c:4318/v1"


@given(secret=st.text("abcXYZ0123456789=%:;", min_size=5))
def test_header_values_are_never_shown(secret: str) -> None:
    parser = lists.headers()
    assert secret not in parser.display({"api-key": secret})
    assert secret not in parser.mask(f"api-key={secret}")
    with pytest.raises(Unusable) as caught:
        parser.parse(f"api-key={secret},b c={secret}")
    assert secret not in str(caught.value)


def test_attributes_named_like_secrets_are_not_shown() -> None:
    parser = lists.pairs()
    assert parser.display({"region": "eu", "api_key": "hush"}) == f"region=eu,api_key={MASK}"
    assert parser.mask("region=eu,db.Password=hush,x") == f"region=eu,db.Password={MASK},x"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("own", ("own",)),
        ("-import_orders", ("own", "-import_orders")),
        ("migrate, rqworker-pool", ("own", "migrate", "rqworker-pool")),
        ("migrate,ALL,-check", ("all", "migrate", "-check")),
        ("none,nightly", ("none", "nightly")),
    ],
)
def test_commands_are_a_set_and_names(raw: str, value: tuple[str, ...]) -> None:
    assert lists.commands().parse(raw) == value


@pytest.mark.parametrize(
    ("raw", "rest"),
    [
        ("-", ("own",)),
        ("-own", ("own",)),
        ("own,all", ("own",)),
        ("manage.py nightly", ("own",)),
        ("none,--nightly,migrate", ("none", "migrate")),
    ],
)
def test_what_names_no_command_is_said_and_left_out(raw: str, rest: tuple[str, ...]) -> None:
    with pytest.raises(Unusable) as caught:
        lists.commands().parse(raw)
    assert caught.value.rest == rest
