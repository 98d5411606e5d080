"""``model.…``: log records of objects that are created, changed or deleted; never their values.

By Django's signals, which bulk operations and ``QuerySet.update`` don't send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db.models import signals

from otel_django import guard, names
from otel_django.instrumentation.http_served import user_attribute
from otel_django.logs import active

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.tracing.tracer import Tracer

_UID: Final = "otel_django-models"


class ModelEvents:
    """Listens to all models where ``OTEL_DJANGO_MODEL_EVENTS`` names some.

    Its patterns are compared as models come, since they may be loaded later than this.
    """

    def __init__(self) -> None:
        self._patterns: frozenset[str] = frozenset()
        self._wanted: dict[type, bool] = {}

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Listen; a second call changes the models."""
        self._patterns = frozenset(pattern.lower() for pattern in settings.model_events)
        self._wanted = {}
        if self._patterns:
            signals.post_save.connect(self._saved, dispatch_uid=_UID)
            signals.post_delete.connect(self._deleted, dispatch_uid=_UID)

    def uninstall(self) -> None:
        """Listen no more."""
        signals.post_save.disconnect(dispatch_uid=_UID)
        signals.post_delete.disconnect(dispatch_uid=_UID)

    def _saved(
        self, *, sender: Any, instance: Any, created: bool = False, raw: bool = False, **_: Any
    ) -> None:
        if not raw:  # not for fixtures
            self._tell(names.MODEL_CREATED if created else names.MODEL_UPDATED, sender, instance)

    def _deleted(self, *, sender: Any, instance: Any, **_: Any) -> None:
        self._tell(names.MODEL_DELETED, sender, instance)

    def _tell(self, event: str, model: Any, instance: Any) -> None:
        journal = active.journal()
        if journal is None or not self._wants(model):
            return
        with guard.guarded("model_events"):
            fields: dict[str, Any] = {names.DJANGO_MODEL: model._meta.label}
            if instance.pk is not None:
                fields.update(_identity(model, instance.pk))
            journal.emit(event, attributes=fields)

    def _wants(self, model: Any) -> bool:
        wanted = self._wanted.get(model)
        if wanted is None:
            meta = model._meta
            names_of_it = {meta.label_lower, f"{meta.app_label}.*".lower()}
            wanted = self._wanted[model] = not self._patterns.isdisjoint(names_of_it)
        return wanted


def _identity(model: Any, primary_key: Any) -> dict[str, str]:
    """A number or UUID as it is; of a user, and of any other kind of key, a keyed hash."""
    from uuid import UUID

    from django.contrib.auth.base_user import AbstractBaseUser

    if issubclass(model, AbstractBaseUser):
        return user_attribute(primary_key, "hash")
    if isinstance(primary_key, (int, UUID)):
        return {names.DJANGO_MODEL_ID: str(primary_key)}
    (hashed,) = user_attribute(primary_key, "hash").values()
    return {names.DJANGO_MODEL_ID: hashed}
