"""The cart: product ids and quantities in the session."""

from dataclasses import dataclass
from decimal import Decimal

from django.http import HttpRequest

from catalogue.models import Product

SESSION_KEY = "cart"
MOST_OF_ONE = 20


@dataclass(frozen=True)
class Line:
    product: Product
    quantity: int

    @property
    def price(self) -> Decimal:
        return self.product.price * self.quantity


@dataclass(frozen=True)
class Cart:
    lines: list[Line]

    @property
    def total(self) -> Decimal:
        return sum((line.price for line in self.lines), Decimal(0))


def cart_of(request: HttpRequest) -> Cart:
    quantities = contents(request)
    products = Product.objects.select_related("brand", "category").filter(pk__in=quantities)
    return Cart([Line(each, quantities[str(each.pk)]) for each in products])


def add(request: HttpRequest, product: Product) -> None:
    quantities = contents(request)
    key = str(product.pk)
    quantities[key] = min(quantities.get(key, 0) + 1, MOST_OF_ONE)
    request.session[SESSION_KEY] = quantities


def remove(request: HttpRequest, product: Product) -> None:
    quantities = contents(request)
    quantities.pop(str(product.pk), None)
    request.session[SESSION_KEY] = quantities


def empty(request: HttpRequest) -> None:
    request.session.pop(SESSION_KEY, None)


def cart_size(request: HttpRequest) -> dict[str, int]:
    """Context processor: the number beside the cart in the frame of every page."""
    return {"cart_size": sum(contents(request).values())}


def contents(request: HttpRequest) -> dict[str, int]:
    quantities: dict[str, int] = request.session.get(SESSION_KEY, {})
    return quantities
