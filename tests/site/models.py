"""Models of the test site; an area with many of its own adds ``tests/site/<area>.py``."""

from __future__ import annotations

from django.db import models


class Author(models.Model):
    name: models.CharField[str, str] = models.CharField(max_length=100)


class Book(models.Model):
    title: models.CharField[str, str] = models.CharField(max_length=100)
    author: models.ForeignKey[Author, Author] = models.ForeignKey(Author, on_delete=models.CASCADE)
