"""Patterns that people write for alerts are ones that can't take long."""

from __future__ import annotations

import pytest

from otel_django.alerts import patterns


@pytest.mark.parametrize(
    "pattern",
    [
        ".+",
        "shop.*",
        "(shop|mail)-.*",
        r"https?://.*\.example\.(com|org)",
        "(?i)api|web|worker",
        "(?i:API)-[0-9]",
        "(?:web|db)-[0-9]{1,3}",
        "(?P<where>eu|us)-[a-z]+(-canary)?",
        r"[]()*+|?]+\(x\)*",
        "x{3}(ab){2}",
        "|".join(f"queue-{number}" for number in range(40)),
    ],
)
def test_such_as_people_write_are_taken(pattern: str) -> None:
    patterns.check(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+",
        "(a*)*b",
        "(a|a)*b",
        "(a|b?)+",
        "((ab?)*c)*",
        "(?:a+){2,50}",
        "(.*a){20}",
        ".*a.*b.*c.*d",
        "a?" * 30 + "a" * 30,
        "(a|ab)(c|cd)" * 10,
        "(a+)\\1",
        "(?=a)b",
        "(?x)a #(",
        "(?<!a)b",
        "a" * 600,
        "(",
        "a" + "{99999999999}",
    ],
)
def test_others_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^(no|too slow|longer|a pattern)"):
        patterns.check(pattern)


def test_of_a_very_long_value_the_beginning_counts() -> None:
    assert patterns.fits(".*x.*y.*", "x" * 100 + "y" + "z" * 1_000_000)
    assert not patterns.fits(".*x.*y.*z", "x" * 1_000_000)
