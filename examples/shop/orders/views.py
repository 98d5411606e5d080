"""Cart, checkout and past orders."""

import logging

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from catalogue.models import Product
from orders import cart as carts
from orders.forms import CheckoutForm
from orders.models import Order, OrderItem
from orders.payment import REFUSED_CARD, charge
from otel_django import counter
from shop.tasks import fulfil

logger = logging.getLogger(__name__)
orders_placed = counter("orders.placed", unit="{order}", description="Orders that were placed.")


def cart(request: HttpRequest) -> HttpResponse:
    return render(request, "orders/cart.html", {"cart": carts.cart_of(request)})


@require_POST
def add_to_cart(request: HttpRequest, slug: str) -> HttpResponse:
    carts.add(request, get_object_or_404(Product, slug=slug))
    return redirect("cart")


@require_POST
def remove_from_cart(request: HttpRequest, slug: str) -> HttpResponse:
    carts.remove(request, get_object_or_404(Product, slug=slug))
    return redirect("cart")


def checkout(request: HttpRequest) -> HttpResponse:
    chosen = carts.cart_of(request)
    form = CheckoutForm(request.POST or None)
    if chosen.lines and form.is_valid():
        placed = place_order(request, chosen, **form.cleaned_data)
        carts.empty(request)
        customer = "guest" if placed.user_id is None else "registered"
        orders_placed.add(1, {"customer": customer})
        logger.info("order %s placed", placed.pk, extra={"lines": len(chosen.lines)})
        return redirect("thanks")
    context = {"cart": chosen, "form": form, "refused_card": REFUSED_CARD}
    return render(request, "orders/checkout.html", context)


def place_order(request: HttpRequest, chosen: carts.Cart, *, email: str, card: str) -> Order:
    """Write the order and have it fulfilled; where PaymentRefused is raised, nothing was written.

    A broker that is away costs a line in the log, not the order.
    """
    user = request.user if isinstance(request.user, AbstractBaseUser) else None
    with transaction.atomic():
        order: Order = Order.objects.create(user=user, email=email, total=chosen.total)
        OrderItem.objects.bulk_create(
            OrderItem(
                order=order,
                product=line.product,
                quantity=line.quantity,
                price=line.product.price,
            )
            for line in chosen.lines
        )
        charge(card, chosen.total)
        # Not before the order can be read by others, and not if it is rolled back.
        transaction.on_commit(lambda: fulfil(order.pk), robust=True)
    return order


def thanks(request: HttpRequest) -> HttpResponse:
    return render(request, "orders/thanks.html")


@login_required
def order_history(request: HttpRequest) -> HttpResponse:
    orders = Order.objects.filter(user_id=request.user.pk).prefetch_related("items__product")
    return render(request, "orders/history.html", {"orders": orders[:50]})
