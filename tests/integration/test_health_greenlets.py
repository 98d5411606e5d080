"""Health checks where what looks like threads are greenlets of one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import sys
if sys.argv[1] == "gevent":
    from gevent import monkey
    monkey.patch_all()
else:
    import eventlet
    eventlet.monkey_patch()
import asyncio, json, os, threading, time
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
django.setup()
from django.db import connection
from otel_django.clock import SYSTEM_CLOCK
from otel_django.conf import Settings
from otel_django.health.check import Registered
from otel_django.health.engine import Engine
from otel_django.health.registry import Registry

def sleeps(): time.sleep(0.2)
async def one(): await asyncio.sleep(0.2)
async def other(): await asyncio.sleep(0.2)
async def cancelled(): raise asyncio.CancelledError
async def ends(): raise SystemExit

def query():
    while not done:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except Exception as error:
            refused.append(type(error).__name__)
        time.sleep(0.01)

done, refused, registry = [], [], Registry()
for run in (sleeps, one, other, cancelled, ends):
    registry.add(Registered(run.__name__, run))
site = threading.Thread(target=query)
site.start()
settings = Settings(health_timeout_s=9)
report = Engine(settings, registry, folder=None, clock=SYSTEM_CLOCK).report(within_s=10)
done.append(True)
site.join()
found = {check.name: [check.status, check.message] for check in report.checks}
print(json.dumps([found, refused]))
"""


@pytest.mark.parametrize("greenlets", ["gevent", "eventlet"])
def test_asynchronous_checks_run_together_and_leave_the_sites_queries_alone(greenlets: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, greenlets],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found, refused = json.loads(done.stdout.splitlines()[-1])
    assert refused == []
    assert found == {
        "sleeps": ["healthy", ""],
        "one": ["healthy", ""],
        "other": ["healthy", ""],
        "cancelled": ["unhealthy", "raised CancelledError"],
        "ends": ["unhealthy", "raised SystemExit"],
    }
