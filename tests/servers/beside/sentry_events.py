"""Where the test site's Sentry puts its events instead of sending them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sentry_sdk.transport import Transport

if TYPE_CHECKING:
    from sentry_sdk.envelope import Envelope

events: list[Any] = []


class Kept(Transport):
    """Keeps transactions and errors in ``events``."""

    def capture_envelope(self, envelope: Envelope) -> None:
        events.extend(item.payload.json for item in envelope.items if item.payload.json)
