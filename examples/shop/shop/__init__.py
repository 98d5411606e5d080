"""The project. Celery's app is loaded with it, so that tasks find it in every process."""

from shop.celery import app as celery_app

__all__ = ["celery_app"]
