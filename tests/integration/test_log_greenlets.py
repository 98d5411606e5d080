"""Lines of JSON where what looks like threads are greenlets of one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest

LINES = 500
PROGRAM = f"""
import os, sys
if sys.argv[1] == "gevent":
    from gevent import monkey
    monkey.patch_all()
else:
    import eventlet
    eventlet.monkey_patch()
import threading, time
from otel_django.logs.stream import Stream

os.set_blocking(2, sys.argv[2] == "blocking")
stream = Stream(2)
padding = b"x" * int(sys.argv[3])

def write(name):
    for number in range({LINES}):
        stream.write(b'{{"name":"%s","padding":"%s"}}\\n' % (name, padding))
        time.sleep(0)

writers = [threading.Thread(target=write, args=(name,)) for name in (b"one", b"other", b"third")]
for each in writers:
    each.start()
for each in writers:
    each.join()
print(stream.lost)
"""


@pytest.mark.parametrize("padding", [0, 9000], ids=["short", "longer than a pipe takes whole"])
@pytest.mark.parametrize("descriptor", ["blocking", "not blocking"])
@pytest.mark.parametrize("greenlets", ["gevent", "eventlet"])
def test_several_that_write_lines_at_once_lose_none(
    greenlets: str, descriptor: str, padding: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, greenlets, descriptor, str(padding)],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == b"0\n"
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    names = Counter(line["name"] for line in lines)
    assert names == {"one": LINES, "other": LINES, "third": LINES}
