"""The wire primitives, and what the encoder remembers between attributes."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[attr-defined]
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import KeyValue, KeyValueList

from otel_django.pipeline.pace import Pace, no_pause
from otel_django.pipeline.protobuf import KeyValues, join, utf8, varint


def unhurried() -> Pace:
    return Pace(no_pause, lambda: 0.0)


def parsed(encoded: bytes) -> list[KeyValue]:
    """What ``KeyValues(1)`` wrote: the one field of KeyValueList."""
    message = KeyValueList()
    message.ParseFromString(encoded)
    return list(message.values)


def kinds(key_values: KeyValues, value: Any) -> tuple[str | None, str]:
    [one] = parsed(key_values.encode({"k": value}, unhurried()))
    kind = one.value.WhichOneof("value")
    return kind, repr(getattr(one.value, kind)) if kind else ""


@given(st.integers(0, 2**64 - 1))
def test_varints_are_protobufs(number: int) -> None:
    assert varint(number) == _VarintBytes(number)


@pytest.mark.parametrize("bits", [0, 7, 14, 21, 28, 63])
def test_varints_at_their_edges_are_protobufs(bits: int) -> None:
    for number in (2**bits - 1, 2**bits):
        assert varint(number) == _VarintBytes(number)


@given(st.permutations([1, True, 1.0, "1", 0, False, 0.0, -0.0, "0", b"1", -1, 2**63, None, [1]]))
def test_equal_values_of_different_types_are_never_taken_for_each_other(values: list[Any]) -> None:
    key_values = KeyValues(1)
    for _ in range(2):
        seen = [kinds(key_values, value) for value in values]
        assert seen == [kinds(KeyValues(1), value) for value in values]
    assert len(set(seen)) == len(values)


@given(st.integers(0, 400), st.integers(1, 200), st.sampled_from("aé€😀"))
def test_strings_of_every_length_arrive(size: int, key_size: int, character: str) -> None:
    key_values = KeyValues(1)
    attributes = {"k" * key_size: character * size}
    for _ in range(2):
        [one] = parsed(key_values.encode(attributes, unhurried()))
        assert {one.key: one.value.string_value} == attributes


@pytest.mark.parametrize("field_number", [1, 9, 15, 16, 3000])
def test_any_field_number_can_be_written(field_number: int) -> None:
    assert (
        KeyValues(field_number)
        .encode({"k": 1}, unhurried())
        .startswith(_VarintBytes(field_number << 3 | 2))
    )


def test_values_that_never_come_again_are_not_kept() -> None:
    key_values = KeyValues(1)
    for number in range(1_000):
        key_values.encode(
            {"url.path": f"/orders/{number}", "http.route": f"/{number % 90}"}, unhurried()
        )
    assert len(key_values._known["url.path"]) == 0
    assert len(key_values._known["http.route"]) == 90


def test_values_that_come_again_are_kept_however_many() -> None:
    key_values = KeyValues(1)
    for number in range(5_000):
        key_values.encode({"http.route": f"/{number % 150}"}, unhurried())
    assert len(key_values._known["http.route"]) > 0


def test_what_is_kept_is_bounded_in_bytes() -> None:
    key_values = KeyValues(1)
    for number in range(6_000):
        text = f"{number // 200}" + "é" * 1_000
        key_values.encode({f"key {number % 200}": text}, unhurried())
        if number % 100 == 0:
            assert kept_bytes(key_values) <= 600_000


def test_what_is_kept_is_bounded_in_keys() -> None:
    key_values = KeyValues(1)
    for number in range(3_000):
        key_values.encode({f"key {number}": 1}, unhurried())
        assert len(key_values._known) <= 256


def kept_bytes(key_values: KeyValues) -> int:
    return sum(len(one) for values in key_values._known.values() for one in values.values())


def test_long_texts_and_many_parts_arrive_whole() -> None:
    text = "aé😀" * 100_000
    assert utf8(text, unhurried()) == text.encode()
    assert utf8(text + "\ud800" + text, unhurried()) == (text + "\ufffd" + text).encode()
    parts = [b"ab" * (n % 50_000) for n in range(0, 400_000, 1_001)] + [b"c"] * 5_000
    assert join(parts, unhurried()) == b"".join(parts)
    [one] = parsed(KeyValues(1).encode({"k": text}, unhurried()))
    assert one.value.string_value == text


def test_many_attributes_keep_their_order() -> None:
    attributes = {f"key {n}": n for n in range(10_000)}
    found = parsed(KeyValues(1).encode(attributes, unhurried()))
    assert [(one.key, one.value.int_value) for one in found] == list(attributes.items())
