"""``manage.py otel doctor``: its options. What it finds is shown with the real programs."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command


@pytest.mark.parametrize("wait", ["nan", "inf", "-1", "1e9", "9" * 400, "soon", ""])
def test_a_wait_that_is_no_length_of_time_is_refused(wait: str) -> None:
    with pytest.raises(CommandError, match="--wait"):
        call_command("otel", "doctor", f"--wait={wait}")


def test_a_wait_may_have_a_unit() -> None:
    call_command("otel", "doctor", "--no-probe", "--wait=1m")
