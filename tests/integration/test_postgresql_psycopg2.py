"""The tests of ``test_postgresql`` again, with psycopg2: Django takes one driver a process."""

from __future__ import annotations

import os

import pytest

from tests.integration.servers import Server, run_again


@pytest.mark.skipif(
    os.environ.get("TESTS_POSTGRESQL_DRIVER") == "psycopg2", reason="this is that process"
)
def test_everything_holds_with_psycopg2(postgresql: Server) -> None:
    pytest.importorskip("psycopg2")
    run_again(
        "tests/integration/test_postgresql.py",
        TESTS_POSTGRESQL_DRIVER="psycopg2",
        TESTS_POSTGRESQL=str(postgresql),
    )
