"""What a host's processes count is the same number in their folder and at the receiver."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host_counts import counted, env_for, exported, get_many
from tests.server_process import ROOT, gunicorn, serving
from tests.stub_collector import StubCollector


@pytest.fixture
def collector() -> Iterator[StubCollector]:
    with StubCollector() as running:
        yield running


def test_two_services_in_one_folder_keep_apart(collector: StubCollector, tmp_path: Path) -> None:
    env = env_for(collector, tmp_path)
    with (
        serving(gunicorn("--workers", "2"), env) as shop,
        serving(gunicorn("--workers", "2"), {**env, "OTEL_SERVICE_NAME": "other"}) as other,
    ):
        assert (get_many(shop, 20), get_many(other, 30)) == (20, 30)
        shop.terminate()
        other.terminate()
    assert counted(tmp_path) == 20
    last = {instance: point.count for instance, point in exported(collector)}
    assert sorted(last.values()) == [20, 30]


FAMILY = """
    import multiprocessing, os, sys
    import django

    def work(number):
        if os.environ["METHOD"] != "fork":
            django.setup()
        from otel_django import counter
        counter("tests.worked").add(number)

    if __name__ == "__main__":
        django.setup()
        work(1)
        context = multiprocessing.get_context(os.environ["METHOD"])
        children = [context.Process(target=work, args=(10,)) for _ in range(3)]
        for child in children: child.start()
        for child in children: child.join()
        work(1)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_P1_multiprocessing_children_begin_at_zero(
    collector: StubCollector, tmp_path: Path, method: str
) -> None:
    script = tmp_path / "family.py"
    script.write_text(textwrap.dedent(FAMILY))
    env = env_for(
        collector,
        tmp_path / "run",
        METHOD=method,
        DJANGO_SETTINGS_MODULE="tests.settings",
        PYTHONPATH=str(ROOT),
        PATH=os.environ["PATH"],
        TESTS_BASE_DIR=str(tmp_path),
    )
    subprocess.run([sys.executable, str(script)], env=env, check=True, timeout=60)
    assert counted(tmp_path / "run", "tests.worked") == 32
