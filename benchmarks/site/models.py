from __future__ import annotations

from typing import ClassVar

from django.db import models


class Item(models.Model):
    """A row of the table that the harness fills before the run."""

    name = models.CharField(max_length=100)
    price = models.IntegerField()

    objects: ClassVar[models.Manager[Item]] = models.Manager()

    class Meta:
        db_table = "bench_item"
        managed = False

    def __str__(self) -> str:
        return self.name
