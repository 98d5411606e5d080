"""A payment service that knows two kinds of card: those it takes and those it refuses."""

from decimal import Decimal

ACCEPTED_CARD = "4242 4242 4242 4242"
REFUSED_CARD = "4000 0000 0000 0002"


class PaymentRefused(ValueError):
    """The bank said no."""

    def __init__(self, amount: Decimal) -> None:
        super().__init__(f"The bank refused a payment of {amount}")


def charge(card: str, amount: Decimal) -> None:
    """Take the money, or raise PaymentRefused."""
    if card.replace(" ", "").endswith("0002"):
        raise PaymentRefused(amount)
