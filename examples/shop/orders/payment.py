"""A bank that takes one kind of card, refuses another, and is busy at times."""

import random
from decimal import Decimal

ACCEPTED_CARD = "4242 4242 4242 4242"
REFUSED_CARD = "4000 0000 0000 0002"
BUSY_SHARE = 0.2


class PaymentRefused(ValueError):
    """The bank said no."""

    def __init__(self, amount: Decimal) -> None:
        super().__init__(f"The bank refused a payment of {amount}")


class BankBusy(ConnectionError):
    """The bank has no time; it will later."""


def charge(card: str, amount: Decimal) -> None:
    """Have the bank promise the money, or raise PaymentRefused."""
    if card.replace(" ", "").endswith("0002"):
        raise PaymentRefused(amount)


def settle(amount: Decimal) -> None:
    """Take the money that was promised, or raise BankBusy."""
    if random.random() < BUSY_SHARE:
        raise BankBusy(f"The bank is busy; {amount} not taken yet")
