"""A sender at its outbox, until it is killed: FOLDER URL OFFSET_MS (by which time is ahead)."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def main(folder: Path, url: str, offset_ms: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from otel_django.alerts.delivery.channels.webhook import WebhookChannel
    from otel_django.alerts.delivery.posting import Poster
    from otel_django.alerts.delivery.private_addresses import reachable
    from otel_django.alerts.delivery.sender import Sender
    from tests.keeping_kit import ALIAS, FENCE, keeper
    from tests.site.databases import database_alias

    engine = "django.db.backends.sqlite3"
    with database_alias(ALIAS, ENGINE=engine, NAME=str(folder / "alerts.sqlite3")):
        kept = keeper(folder)
        channel = WebhookChannel(Poster(url, reachable("any")))
        sender = Sender({channel.name: channel}, kept)
        kept.load(time.time_ns() // 1_000_000 + offset_ms)
        while True:
            sender.take(kept.due(time.time_ns() // 1_000_000 + offset_ms, FENCE))
            time.sleep(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
