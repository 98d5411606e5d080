"""``model.…``: what becomes of the objects of chosen models, and never their values."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from otel_django import names
from otel_django.checks import unknown_models
from otel_django.instrumentation.http_served import user_attribute
from otel_django.testing import Captured, CapturedLog, capture
from tests.site.models import Author, Book

SECRET = "Zx9MARKq7Zx9"


def events(captured: Captured) -> list[CapturedLog]:
    return [log for log in captured.logs if log.event.startswith("model.")]


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("pattern", [Author._meta.label, f"{Author._meta.app_label}.*"])
def test_chosen_models_tell_what_becomes_of_their_objects(pattern: str) -> None:
    with capture(model_events=(pattern,)) as captured:
        author = Author.objects.create(name=SECRET)
        key = str(author.pk)
        author.name = f"other {SECRET}"
        author.save()
        author.delete()
        User.objects.create_user("ursula")
    told = events(captured)
    assert [log.event for log in told] == [
        names.MODEL_CREATED,
        names.MODEL_UPDATED,
        names.MODEL_DELETED,
    ]
    assert [dict(log.attributes) for log in told] == [
        {names.DJANGO_MODEL: Author._meta.label, names.DJANGO_MODEL_ID: key}
    ] * 3
    assert SECRET not in str(captured.logs)


@pytest.mark.usefixtures("database")
def test_a_user_is_told_by_the_hash_of_its_key() -> None:
    with capture(model_events=("auth.User",)) as captured:
        user = User.objects.create_user("ursula", password=SECRET)
    (log,) = events(captured)
    assert dict(log.attributes) == {
        names.DJANGO_MODEL: "auth.User",
        **user_attribute(user.pk, "hash"),
    }


@pytest.mark.usefixtures("database")
def test_no_model_is_chosen_by_default() -> None:
    with capture() as captured:
        Book.objects.create(title=SECRET, author=Author.objects.create(name=SECRET))
    assert events(captured) == []


def test_models_that_no_app_has_are_found() -> None:
    label = Author._meta.app_label
    patterns = (f"{label}.Author", f"{label}.*", f"{label}.Nothing", "nowhere.*", "auth.user")
    assert list(unknown_models(patterns)) == [f"{label}.Nothing", "nowhere.*"]
