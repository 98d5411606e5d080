"""Addresses of the catalogue."""

from django.urls import path

from catalogue import views

urlpatterns = [
    path("", views.home, name="home"),
    path("category/<slug:slug>/", views.category, name="category"),
    path("product/<slug:slug>/", views.product, name="product"),
    path("brands/", views.brands, name="brands"),
    path("search/", views.search, name="search"),
    path("export/products.csv", views.export, name="export"),
    path("api/bargains/", views.bargains, name="bargains"),
    path("api/stock/<slug:slug>/", views.stock, name="stock"),
]
