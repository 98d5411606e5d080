"""Cursors and keys come in addresses, where anything may stand."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from otel_django.backends.embedded import EmbeddedReader
from otel_django.backends.embedded_logs import EmbeddedLogReader
from otel_django.contracts import LogQuery, TraceQuery
from otel_django.errors import UnknownPlaceError
from tests.tables_kit import Telemetry

LARGE = "9" * 30


@pytest.mark.parametrize("text", ["", "--1:1", f"1:{LARGE}", f"{LARGE}:1", "²:1", "1:1;--", ":"])
def test_what_is_no_place_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    made = Telemetry(tmp_path)
    made.requests("/a/")
    made.keep()
    traces, logs = EmbeddedReader(made.path), EmbeddedLogReader(made.path)
    with pytest.raises(UnknownPlaceError):
        traces.spans_since(text)
    with pytest.raises(UnknownPlaceError):
        logs.logs_since(text)
    with pytest.raises(UnknownPlaceError):
        logs.list_logs(LogQuery(cursor=f"--1:{text}"))
    with pytest.raises(UnknownPlaceError):
        logs.logs_around(text, 1, 1)
    with pytest.raises(UnknownPlaceError):
        traces.list_traces(TraceQuery(cursor=f"-{text}"))
    made.writer.close(time.monotonic() + 2)
