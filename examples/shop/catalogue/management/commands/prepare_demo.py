"""Make the shop ready for a demonstration: tables, products, and two people who can log in."""

import os

from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Migrate, fill the shop, and give its users the passwords found in the environment."

    def handle(self, *args: object, **options: object) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        call_command("seed_shop")
        self.renew("demo", os.environ["DEMO_PASSWORD"], is_staff=True)
        self.renew("regular", os.environ["DEMO_CUSTOMER_PASSWORD"], is_staff=False)

    def renew(self, name: str, password: str, *, is_staff: bool) -> None:
        user, _created = User.objects.get_or_create(username=name)
        user.is_staff = user.is_superuser = is_staff
        user.set_password(password)
        user.save()
