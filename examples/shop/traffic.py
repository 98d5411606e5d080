"""Visitors for the shop: people who browse, search, buy, and now and then have a bad card.

    python traffic.py http://127.0.0.1:8000

About seven requests a second over real HTTP, until SIGTERM or SIGINT.
"""

import contextlib
import http.client
import os
import random
import re
import signal
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable
from http.cookiejar import CookieJar
from types import FrameType

VISITORS = 5
THINK_S = (0.3, 1.1)
TIMEOUT_S = 10.0

GOOD_CARD = "4242 4242 4242 4242"
BAD_CARD = "4000 0000 0000 0002"
BAD_CARD_SHARE = 0.25  # of the purchases; about one request in forty
GOOD_ADDRESS = "visitor@example.org"
MISTYPED_ADDRESS = "visitor@example.invalid"
MISTYPED_SHARE = 0.15
SEARCHES = ["teapot", "hand plain", "rucksak", "winter balcony", "spining top", "ukulele"]
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
PRODUCT = re.compile(r'href="(/product/[^"]+)"')
CATEGORY = re.compile(r'href="(/category/[^"]+)"')

ended = threading.Event()


class Visitor:
    """One browser: cookies of its own, a pause for thought before each request."""

    def __init__(self, base_url: str, rng: random.Random, answers: Counter[int]) -> None:
        self.base_url = base_url
        self.rng = rng
        self.answers = answers
        self.browser = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(CookieJar()), urllib.request.ProxyHandler({})
        )

    def get(self, path: str) -> str:
        return self.send(urllib.request.Request(self.base_url + path))  # noqa: S310

    def post(self, path: str, page: str, **fields: str) -> str:
        """Send a form of `page`, with the token found there."""
        token = TOKEN.search(page)
        fields["csrfmiddlewaretoken"] = token.group(1) if token else ""
        body = urllib.parse.urlencode(fields).encode()
        return self.send(urllib.request.Request(self.base_url + path, data=body))  # noqa: S310

    def send(self, request: urllib.request.Request) -> str:
        """The page, also when it is an error page; empty when there was no answer."""
        if ended.wait(self.rng.uniform(*THINK_S)):
            raise SystemExit
        try:
            with self.browser.open(request, timeout=TIMEOUT_S) as reply:
                self.answers[reply.status] += 1
                return str(reply.read().decode())
        except urllib.error.HTTPError as error:
            self.answers[error.code] += 1
            return error.read().decode()
        except (OSError, http.client.HTTPException):
            self.answers[0] += 1
            return ""

    def pick(self, pattern: re.Pattern[str], page: str, default: str = "/") -> str:
        found: list[str] = pattern.findall(page)
        return self.rng.choice(found or [default])

    # What visitors do

    def browse(self) -> None:
        page = self.get("/")
        page = self.get(self.pick(CATEGORY, page))
        self.get(self.pick(PRODUCT, page))
        self.get(f"/?page={self.rng.randint(2, 40)}")

    def search(self) -> None:
        page = self.get("/search/?" + urllib.parse.urlencode({"q": self.rng.choice(SEARCHES)}))
        self.get(self.pick(PRODUCT, page))

    def look_at_brands(self) -> None:
        self.get(self.pick(PRODUCT, self.get("/brands/")))

    def buy(self, card: str = "") -> None:
        path = self.pick(PRODUCT, self.get(f"/?page={self.rng.randint(1, 40)}"))
        page = self.get(path)
        self.post(path.replace("/product/", "/cart/add/"), page)
        page = self.get("/checkout/")
        bad = self.rng.random() < BAD_CARD_SHARE
        mistyped = not card and self.rng.random() < MISTYPED_SHARE
        self.post(
            "/checkout/",
            page,
            email=MISTYPED_ADDRESS if mistyped else GOOD_ADDRESS,
            card=card or (BAD_CARD if bad else GOOD_CARD),
        )

    def buy_with_a_bad_card(self) -> None:
        self.buy(BAD_CARD)

    def buy_with_a_good_card(self) -> None:
        self.buy(GOOD_CARD)

    def follow_old_link(self) -> None:
        self.get(f"/product/discontinued-{self.rng.randint(1, 9)}/")

    def use_the_api(self) -> None:
        self.get("/api/bargains/")

    def take_the_list(self) -> None:
        self.get("/export/products.csv")

    def see_my_orders(self) -> None:
        page = self.get("/orders/")
        password = os.environ.get("DEMO_CUSTOMER_PASSWORD", "")
        if password and 'name="password"' in page:
            self.post(
                "/accounts/login/", page, username="regular", password=password, next="/orders/"
            )

    def stay(self, first: Callable[["Visitor"], None]) -> None:
        first(self)
        while True:
            self.rng.choices(HABITS, WEIGHTS)[0](self)


HABITS: list[Callable[[Visitor], None]] = [
    Visitor.browse,
    Visitor.search,
    Visitor.buy,
    Visitor.look_at_brands,
    Visitor.use_the_api,
    Visitor.see_my_orders,
    Visitor.take_the_list,
    Visitor.follow_old_link,
]
WEIGHTS = [30, 18, 18, 10, 10, 5, 4, 5]
# The first five visitors begin so that everything worth seeing is there within seconds.
OPENINGS = [
    Visitor.look_at_brands,
    Visitor.buy_with_a_bad_card,
    Visitor.search,
    Visitor.use_the_api,
    Visitor.buy_with_a_good_card,
]


def main(base_url: str) -> None:
    def end(signum: int, frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    answers: Counter[int] = Counter()
    threads = []
    for number in range(VISITORS):
        visitor = Visitor(base_url, random.Random(number), answers)
        opening = OPENINGS[number % len(OPENINGS)]
        threads.append(threading.Thread(target=visitor.stay, args=(opening,), daemon=True))
    for thread in threads:
        thread.start()
    parent = os.getppid()
    while not ended.wait(0.5) and os.getppid() == parent:
        pass
    ended.set()
    for thread in threads:
        thread.join(TIMEOUT_S)
    with contextlib.suppress(BrokenPipeError):
        print(closing_line(answers), flush=True)


def closing_line(answers: Counter[int]) -> str:
    by_status = ", ".join(
        f"{count} × {status or 'no answer'}" for status, count in sorted(answers.items())
    )
    count = sum(answers.values())
    sent = "1 request" if count == 1 else f"{count} requests"
    return f"Visitors sent {sent} ({by_status})." if count else "No visitor sent a request."


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"))
