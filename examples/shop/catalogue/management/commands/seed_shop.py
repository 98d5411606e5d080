"""Fill an empty shop. Every shop gets the same products."""

import random
from decimal import Decimal

from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils.text import slugify

from catalogue.models import Brand, Category, Product

PRODUCTS = 480

CATEGORIES = {
    "Kitchen": ["Teapot", "Skillet", "Kettle", "Chopping board", "Mixing bowl", "Grinder"],
    "Garden": ["Trowel", "Watering can", "Planter", "Secateurs", "Bird feeder", "Lantern"],
    "Office": ["Notebook", "Desk lamp", "Fountain pen", "Paper tray", "Letter opener", "Clock"],
    "Outdoors": ["Rucksack", "Flask", "Camp stove", "Hammock", "Compass", "Groundsheet"],
    "Music": ["Ukulele", "Tambourine", "Music stand", "Metronome", "Harmonica", "Kalimba"],
    "Textiles": ["Blanket", "Tablecloth", "Apron", "Cushion", "Tea towel", "Curtain"],
    "Workshop": ["Hand plane", "Mallet", "Spirit level", "Clamp", "Chisel set", "Tool roll"],
    "Toys": ["Kite", "Spinning top", "Puzzle", "Train set", "Marionette", "Building blocks"],
}
BRANDS = [
    ("Alder & Ash", "Ireland"), ("Bramble", "Scotland"), ("Copperline", "Portugal"),
    ("Dovetail", "Denmark"), ("Elmwood", "Canada"), ("Fjordside", "Norway"),
    ("Greyfriars", "England"), ("Hearthstone", "Wales"), ("Ironbark", "Australia"),
    ("Juniper Hill", "Finland"), ("Kestrel", "Poland"), ("Linden", "Germany"),
    ("Meadowlark", "France"), ("Northlight", "Iceland"), ("Oakapple", "Austria"),
    ("Pebble & Co", "Greece"), ("Quince", "Italy"), ("Rookery", "Belgium"),
    ("Saltmarsh", "Netherlands"), ("Thistledown", "Sweden"), ("Umber", "Spain"),
    ("Verdigris", "Turkey"), ("Wren", "Japan"), ("Yarrow", "Slovenia"),
]  # fmt: skip
KINDS = ["Classic", "Small", "Large", "Folding", "Travel", "Heavy", "Light", "Enamelled"]
SENTENCES = [
    "Made in small batches by people who use it themselves.",
    "It will outlast the drawer you keep it in.",
    "The handle fits both hands and neither slips when wet.",
    "Comes in a box you will want to keep.",
    "Every part can be taken off, cleaned and replaced.",
    "Oiled twice before it leaves the workshop, and once a year after.",
    "Our customers write to us about it, mostly kindly.",
    "Tested for a winter on a balcony facing north.",
]


class Command(BaseCommand):
    help = "Fill an empty shop with brands, categories and products."

    def handle(self, *args: object, **options: object) -> None:
        if Product.objects.exists():
            self.stdout.write("The shop has its products already.")
            return
        with transaction.atomic():
            count = seed()
        self.stdout.write(f"{count} products put on the shelves.")


def seed() -> int:
    """Write the catalogue and return the number of products."""
    rng = random.Random(17)
    brands = Brand.objects.bulk_create(
        Brand(name=name, slug=slugify(name), country=country) for name, country in BRANDS
    )
    categories = Category.objects.bulk_create(
        Category(name=name, slug=slugify(name)) for name in CATEGORIES
    )
    products = [
        product(number, rng, rng.choice(brands), rng.choice(categories))
        for number in range(PRODUCTS)
    ]
    return len(Product.objects.bulk_create(products))


def product(number: int, rng: random.Random, brand: Brand, category: Category) -> Product:
    thing = rng.choice(CATEGORIES[category.name])
    name = f"{rng.choice(KINDS)} {thing.lower()} No. {number + 1}"
    opening = f"{thing} by {brand.name} of {brand.country}."
    return Product(
        name=name,
        slug=slugify(name),
        description=" ".join([opening, *rng.sample(SENTENCES, 4)]),
        price=Decimal(rng.randrange(390, 18900, 50)) / 100,
        stock=rng.randrange(0, 90),
        brand=brand,
        category=category,
    )
