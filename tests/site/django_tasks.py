"""Tasks of Django's framework, or of its back-port where Django has none."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from tests.site.models import Author

try:
    _framework = import_module("django.tasks")
except ImportError:
    _framework = import_module("django_tasks")


def task(function: Callable[[str], object]) -> Any:
    """The framework's decorator."""
    return _framework.task(function)


@task
def greet(name: str) -> str:
    """One query, and a result that is nobody's business."""
    Author.objects.filter(name=name).exists()
    return f"result {name}"


@task
def fail(name: str) -> None:
    """Its error quotes a secret."""
    raise ValueError(f"password={name}")


@task
def give_up(name: str) -> None:
    """What Ctrl-C does to a task."""
    raise KeyboardInterrupt


@task
def nest(name: str) -> Any:
    """A task that sends another one."""
    return greet.enqueue(name).id
