"""What the doctor says of the folder where telemetry waits for its receiver."""

from __future__ import annotations

import resource
from pathlib import Path

from otel_django.conf import Settings
from otel_django.conf.load import load
from otel_django.doctor import spooled
from otel_django.pipeline.spool import Spool


def sending(folder: Path, **environ: str) -> Settings:
    """Settings of a site that sends, and keeps what waits in ``folder``."""
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "OTEL_DJANGO_SPOOL_DIR": str(folder),
        **environ,
    }
    return load(environ, {}, base_dir=None, debug=False, settings_module="shop.settings")


def test_a_folder_that_is_not_there_yet_is_well_and_stays_away(tmp_path: Path) -> None:
    (finding,) = spooled.look(sending(tmp_path / "data" / "spool"))
    assert (finding.state, finding.message) == ("ok", "Nothing waits on disk to be sent.")
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_is_sent_nothing_is_said(tmp_path: Path) -> None:
    settings = sending(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="")
    assert list(spooled.look(settings)) == []


def test_a_file_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (finding,) = spooled.look(sending(tmp_path / "file" / "spool"))
    assert finding.state == "warning"
    assert "can't be written (Not a directory)" in finding.message
    assert "OTEL_DJANGO_SPOOL_DIR" in finding.cure


def test_a_place_that_cannot_even_be_looked_at_is_named(tmp_path: Path) -> None:
    (finding,) = spooled.look(sending(tmp_path / ("x" * 300) / "spool"))
    assert finding.state == "warning"
    assert "can't be written (File name too long)" in finding.message


def test_a_disk_that_takes_nothing_is_found_by_writing(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        (finding,) = spooled.look(sending(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert finding.state == "warning"
    assert "can't be written (File too large)" in finding.message
    assert "Make room there" in finding.cure


def test_what_waits_is_told_and_warned_of_when_it_is_nearly_all_there_is_room_for(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path, max_bytes=1 << 20)
    spool.append(bytes(900 << 10), 1)
    try:
        (roomy,) = spooled.look(sending(tmp_path))
        (full,) = spooled.look(sending(tmp_path, OTEL_DJANGO_SPOOL_MAX_MB="1"))
    finally:
        spool.close()
    assert roomy.state == "ok"
    assert "0.9 of 512 MiB wait" in roomy.message
    assert full.state == "warning"
    assert "what is more than that is dropped" in full.message
    assert "OTEL_DJANGO_SPOOL_MAX_MB" in full.cure
