"""The catalogue's pages: most as they should be, two as they should not.

`brands` asks the database once a product, and `search` reads every description letter by letter.
Both are there to be found in a trace.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator

from django.core.cache import cache
from django.core.paginator import Page, Paginator
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render

from catalogue.models import Category, Product
from catalogue.search import similar_products
from catalogue.stock import units_available

PAGE_SIZE = 12
CATEGORIES_CACHED_S = 20


def home(request: HttpRequest) -> HttpResponse:
    products = Product.objects.select_related("brand", "category")
    context = {"title": "All products", "page": page_of(request, products)}
    return render(request, "catalogue/list.html", context | navigation())


def category(request: HttpRequest, slug: str) -> HttpResponse:
    chosen = get_object_or_404(Category, slug=slug)
    products = chosen.products.select_related("brand", "category")
    context = {"title": chosen.name, "page": page_of(request, products)}
    return render(request, "catalogue/list.html", context | navigation())


def product(request: HttpRequest, slug: str) -> HttpResponse:
    chosen = get_object_or_404(Product.objects.select_related("brand", "category"), slug=slug)
    others = chosen.category.products.select_related("brand", "category").exclude(pk=chosen.pk)[:4]
    context = {"product": chosen, "units": units_available(chosen.slug), "others": others}
    return render(request, "catalogue/product.html", context | navigation())


def brands(request: HttpRequest) -> HttpResponse:
    """The N+1: `product.brand` is fetched anew in each round of the loop."""
    names: dict[str, list[Product]] = defaultdict(list)
    for each in Product.objects.order_by("brand_id", "name")[:60]:
        names[each.brand.name].append(each)
    return render(request, "catalogue/brands.html", {"brands": dict(names)} | navigation())


def search(request: HttpRequest) -> HttpResponse:
    words = request.GET.get("q", "").strip()[:60]
    found = similar_products(words) if words else []
    return render(request, "catalogue/search.html", {"words": words, "found": found} | navigation())


def export(request: HttpRequest) -> StreamingHttpResponse:
    response = StreamingHttpResponse(csv_lines(), content_type="text/csv")
    response["Content-Disposition"] = 'attachment; filename="products.csv"'
    return response


async def bargains(request: HttpRequest) -> JsonResponse:
    cheapest = Product.objects.select_related("brand").order_by("price", "id")[:5]
    listed = [
        {"name": each.name, "brand": each.brand.name, "price": str(each.price)}
        async for each in cheapest
    ]
    return JsonResponse({"products": listed, "of": await Product.objects.acount()})


def stock(request: HttpRequest, slug: str) -> JsonResponse:
    units = get_object_or_404(Product.objects.only("stock"), slug=slug).stock
    return JsonResponse({"product": slug, "units": units})


def navigation() -> dict[str, object]:
    """What the frame of every page shows; counted once in a while and cached."""
    return {"categories": cache.get_or_set("categories", counted_categories, CATEGORIES_CACHED_S)}


def counted_categories() -> list[Category]:
    return list(Category.objects.annotate(size=Count("products")))


def page_of(request: HttpRequest, products: QuerySet[Product]) -> Page[Product]:
    return Paginator(products, PAGE_SIZE).get_page(request.GET.get("page"))


class Echo:
    """A file for the csv writer that hands each line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def csv_lines() -> Iterator[str]:
    writer = csv.writer(Echo())
    yield writer.writerow(["name", "brand", "category", "price", "stock"])
    rows = Product.objects.values_list("name", "brand__name", "category__name", "price", "stock")
    for row in rows.iterator(chunk_size=100):
        yield writer.writerow(row)
