"""The shop's Celery app: its settings are Django's, those that begin with CELERY_.

celery -A shop worker
celery -A shop beat
"""

import os

from celery import Celery

from shop import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

broker.use()
app = Celery("shop", include=["shop.tasks"])
app.config_from_object("django.conf:settings", namespace="CELERY")
