"""The catalogue: brands, categories and products."""

from django.apps import AppConfig


class CatalogueConfig(AppConfig):
    name = "catalogue"
