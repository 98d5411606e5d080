"""The catalogue in the admin."""

from django.contrib import admin

from catalogue.models import Brand, Category, Product

admin.site.register(Brand, list_display=("name", "country"))
admin.site.register(Category)
admin.site.register(
    Product,
    list_display=("name", "brand", "category", "price", "stock"),
    list_filter=("category",),
    list_select_related=("brand", "category"),
    search_fields=("name",),
)
