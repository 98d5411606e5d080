"""What happens after the checkout, and what happens by the clock."""

from collections import Counter

from celery import Task, chain
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from catalogue.models import Product
from orders.mail import send
from orders.models import Order
from orders.payment import BankBusy, settle
from orders.receipt import receipt_for
from otel_django import get_logger
from shop.celery import app

RESTOCKED = 10
UNITS_ORDERED = 20

log = get_logger(__name__)  # structlog's


def fulfil(order_id: int) -> None:
    """Hand a placed order to the worker: payment, stock and receipt, one after the other."""
    chain(confirm.si(order_id), reserve.si(order_id), send_receipt.si(order_id)).delay()


@app.task(bind=True, max_retries=3)
def confirm(self: "Task[[int], None]", order_id: int) -> None:
    """Ask the bank for the money; when it is busy, again a second later."""
    order = Order.objects.get(pk=order_id)
    try:
        settle(order.total)
    except BankBusy as busy:
        raise self.retry(exc=busy, countdown=1) from busy
    Order.objects.filter(pk=order_id).update(paid_at=timezone.now())
    log.info("order paid", order=order_id, amount=order.total)


@app.task
def reserve(order_id: int) -> None:
    """Take what was bought off the shelves, as far as it is there."""
    bought = list(Order.objects.get(pk=order_id).items.all())
    with transaction.atomic():
        for item in bought:
            left = Product.objects.filter(pk=item.product_id, stock__gte=item.quantity)
            left.update(stock=F("stock") - item.quantity)


@app.task
def send_receipt(order_id: int) -> None:
    """Fails for a mistyped address: nobody would gain by another try."""
    send(receipt_for(Order.objects.get(pk=order_id)))


@app.task
def restock() -> None:
    """Order the scarcest products, by the clock.

    An N+1 to be found: `product.brand` and the update each ask the database once a product.
    """
    ordered: Counter[str] = Counter()
    for product in Product.objects.order_by("stock", "pk")[:RESTOCKED]:
        Product.objects.filter(pk=product.pk).update(stock=F("stock") + UNITS_ORDERED)
        ordered[product.brand.name] += UNITS_ORDERED
    log.info("products restocked", units=ordered.total(), brands=len(ordered))
