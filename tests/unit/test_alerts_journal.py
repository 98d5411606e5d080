"""The journal: what was written is read again, whatever happened to the process or the disk."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from otel_django.alerts.expressions import Match
from otel_django.alerts.keeping import documents
from otel_django.alerts.keeping.contract import Changes, Known
from otel_django.alerts.keeping.journal import NAME, Journal, JournalError
from otel_django.alerts.muting import Silence
from tests.keeping_kit import delivered, entry, event, full_disk, key, outgoing, taken, told

CHANGES = Changes(
    [told(taken(entry(key(route="\x00\ud800é😀"))))],
    [entry(state="pending")],
    [event()],
    [outgoing()],
)
RECORDS: list[Any] = [
    ["save", documents.changes_document(CHANGES)],
    ["attempt", delivered()],
    ["attempt", delivered(at_ms=7)],
]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path)
    assert made.open() == []
    yield made
    made.close()


def reopened(folder: Path) -> tuple[Journal, list[Any]]:
    journal = Journal(folder)
    records = journal.open()
    assert records is not None
    return journal, records


def kinds(records: list[Any]) -> list[str]:
    return [kind for kind, _ in records]


def test_what_was_appended_is_there_when_it_is_opened_again(
    journal: Journal, tmp_path: Path
) -> None:
    for record in RECORDS:
        journal.append(record)
    journal.close()
    again, (save, first, second) = reopened(tmp_path)
    assert documents.changes_of(save[1]) == CHANGES
    assert documents.attempt_of(first[1]) == delivered()
    assert documents.attempt_of(second[1]) == delivered(at_ms=7)
    again.close()


def test_what_was_known_comes_back(journal: Journal, tmp_path: Path) -> None:
    one = entry(key(host="a"))
    silence = Silence((Match("alertname", "=~", ".+"),), 1, 2, "ann", "x", every_ms=86_400_000)
    known = Known({one.alert.key: one}, (silence,), ({"name": "HighCpu", "critical": 5},))
    journal.append(documents.known_document(known))
    journal.close()
    again, (document,) = reopened(tmp_path)
    assert documents.known_of(document) == known
    assert documents.outgoing_of(asdict(outgoing(fingerprints=("a", "b")))) == outgoing(
        fingerprints=("a", "b")
    )
    again.close()


def test_cut_off_at_any_byte_it_has_all_whole_records_and_goes_on(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    records = [["attempt", delivered(name)] for name in ("a", "\u00e9\n", "c")]
    journal, _ = reopened(whole)
    for record in records:
        journal.append(record)
    journal.close()
    data = (whole / NAME).read_bytes()
    cut = tmp_path / "cut"
    cut.mkdir()
    for end in range(len(data) + 1):
        (cut / NAME).write_bytes(data[:end])
        again, found = reopened(cut)
        assert len(found) == data[:end].count(b"\n")
        assert [one[1][0] for one in found] == ["a", "\u00e9\n", "c"][: len(found)]
        assert not again.lost
        again.append(["attempt", delivered("later")])
        again.close()
        last, found_later = reopened(cut)
        assert found_later[:-1] == found
        assert documents.attempt_of(found_later[-1][1]) == delivered("later")
        last.close()


def test_a_harmed_line_is_left_out_and_counted(journal: Journal, tmp_path: Path) -> None:
    for record in RECORDS:
        journal.append(record)
    journal.close()
    data = bytearray((tmp_path / NAME).read_bytes())
    second = data.index(b"\n") + 30
    data[second] ^= 1
    (tmp_path / NAME).write_bytes(data)
    again, found = reopened(tmp_path)
    assert kinds(found) == ["save", "attempt"]
    assert again.lost == 1
    again.close()


def test_all_of_it_is_replaced_or_nothing(journal: Journal, tmp_path: Path) -> None:
    for record in RECORDS:
        journal.append(record)
    journal.replace([["known", {}]])
    journal.append(["attempt", delivered()])
    journal.close()
    (tmp_path / "alerts.new").write_bytes(b"half a li")  # killed before it was renamed
    again, found = reopened(tmp_path)
    assert kinds(found) == ["known", "attempt"]
    again.replace([])
    again.close()
    last, nothing = reopened(tmp_path)
    assert not nothing
    last.close()


def test_one_process_has_it_at_a_time(journal: Journal, tmp_path: Path) -> None:
    other = Journal(tmp_path)
    assert other.open() is None
    with pytest.raises(JournalError):
        other.append(["attempt", delivered()])
    with pytest.raises(JournalError):
        other.replace([])
    journal.append(RECORDS[1])
    journal.close()
    assert kinds(other.open() or []) == ["attempt"]
    other.close()


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    journal, _ = reopened(tmp_path / "run" / "alerts")
    journal.append(RECORDS[1])
    assert stat.S_IMODE((tmp_path / "run" / "alerts").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "run" / "alerts" / NAME).stat().st_mode) == 0o600
    journal.close()


def test_a_full_disk_is_said_and_nothing_half_written_stays(
    journal: Journal, tmp_path: Path
) -> None:
    journal.append(RECORDS[1])
    with full_disk(journal.size_bytes + 20):
        with pytest.raises(JournalError):
            journal.append(RECORDS[2])
        with pytest.raises(JournalError):
            journal.replace([*RECORDS, *RECORDS])
    journal.append(RECORDS[2])
    journal.close()
    assert not (tmp_path / "alerts.new").exists()
    again, found = reopened(tmp_path)
    assert kinds(found) == ["attempt", "attempt"]
    assert not again.lost
    again.close()
