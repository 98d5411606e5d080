"""The shop's mail server: it keeps what it is given in a folder, so nothing leaves the machine."""

from uuid import uuid4

from django.conf import settings
from django.core.mail import EmailMessage


class MailboxUnknown(ConnectionError):
    """The mail server knows no such address."""


def send(message: EmailMessage) -> None:
    """Put the message into the folder; MailboxUnknown for an address that can't exist."""
    if any(address.endswith(".invalid") for address in message.to):
        raise MailboxUnknown("550 5.1.1 no such mailbox")
    settings.OUTBOX_DIR.mkdir(parents=True, exist_ok=True)
    path = settings.OUTBOX_DIR / f"{uuid4()}.eml"
    path.write_bytes(message.message().as_bytes())
