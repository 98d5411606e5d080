"""What the checkout asks for."""

from django import forms

from orders.payment import ACCEPTED_CARD


class CheckoutForm(forms.Form):
    email = forms.EmailField(label="E-mail")
    card = forms.RegexField(
        regex=r"^[0-9 ]{12,23}$",
        label="Card number",
        initial=ACCEPTED_CARD,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"invalid": "Digits and spaces only, please."},
    )
