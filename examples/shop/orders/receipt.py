"""What a customer gets by mail."""

from django.core.mail import EmailMessage

from orders.models import Order


def receipt_for(order: Order) -> EmailMessage:
    lines = [
        f"{item.quantity} × {item.product.name}: € {item.quantity * item.price}"
        for item in order.items.select_related("product")
    ]
    return EmailMessage(
        subject=f"Your order {order.pk}",
        body="\n".join([*lines, "", f"Together: € {order.total}"]),
        from_email="shop@example.org",
        to=[order.email],
    )
