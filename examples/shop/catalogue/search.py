"""A search that finds "tea pot" and "teapto" for "teapot", and is slow on purpose.

It cuts every description into pieces of three letters at the time of asking. An index of those
pieces would make it fast: the trace shows why one is wanted.
"""

from dataclasses import dataclass

from django.db import connection

PIECE = 3

SIMILAR_PRODUCTS = """
WITH RECURSIVE
    text(id, body) AS (
        SELECT id, lower(name || ' ' || name || ' ' || description) FROM catalogue_product
    ),
    piece(id, position) AS (
        SELECT id, 1 FROM text
        UNION ALL
        SELECT piece.id, position + 1
        FROM piece JOIN text ON text.id = piece.id
        WHERE position < length(body) - 2
    )
SELECT product.name, product.slug, product.price, count(*) AS hits
FROM piece
JOIN text ON text.id = piece.id
JOIN catalogue_product AS product ON product.id = piece.id
WHERE replace(%s, substr(body, position, 3), '') <> %s
GROUP BY product.id
ORDER BY hits DESC, product.name
LIMIT 12
"""


@dataclass(frozen=True)
class Found:
    name: str
    slug: str
    price: float
    hits: int


def similar_products(words: str) -> list[Found]:
    """The twelve products that share most three-letter pieces with `words`, the best first."""
    if len(words) < PIECE:
        return []
    with connection.cursor() as cursor:
        cursor.execute(SIMILAR_PRODUCTS, [words.lower()] * 2)
        return [Found(*row) for row in cursor.fetchall()]
