"""The story of a retailer: what it sells, at which price on which day, and who bought what when.

Like `world.py` it is a pure function of the seed: a day's sales are the same whether they were generated as history or
lived through later.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from random import Random
from zoneinfo import ZoneInfo

from sandbox.world import World

ZONE = ZoneInfo("Europe/Berlin")
EPOCH = date(2024, 1, 1)
"""When prices began to change."""

CATEGORIES = {
    "Grocery": {"Drinks": ("Coffee", "Juice", "Water"), "Snacks": ("Chocolate", "Crisps")},
    "Household": {"Kitchen": ("Cookware", "Tableware"), "Cleaning": ("Detergents",)},
    "Stationery": {"Paper": ("Notebooks", "Cards"), "Writing": ("Pens",)},
    "Outdoor": {"Garden": ("Tools", "Pots"), "Travel": ("Bags",)},
}
"""Three levels: department, group, shelf."""

BRANDS = (
    "Lindenhof", "Kaffeewerk", "Nordlicht", "Bergquell", "Casa Verde", "Papeterie Blanche", "Schreibgut", "Terracotta & Co",
    "Wanderlust", "Putzteufel", "Süße Sache", "KüchenKönig",
)  # fmt: skip
SIZES = ("small", "medium", "large", "250 g", "500 g", "1 l", "set of 4", "classic", "bio", "XL")
_STEMS = {
    "Coffee": ("Espresso beans", "Filter coffee", "Decaf"), "Juice": ("Apple juice", "Orange juice", "Cherry nectar"),
    "Water": ("Still water", "Sparkling water"), "Chocolate": ("Dark chocolate", "Milk chocolate", "Pralinés"),
    "Crisps": ("Salted crisps", "Paprika crisps"), "Cookware": ("Pan", "Pot", "Wok"), "Tableware": ("Mug", "Plate", "Bowl"),
    "Detergents": ("Dish soap", "All-purpose cleaner"), "Notebooks": ("Notebook A5", "Notebook A4"), "Cards": ("Greeting card",),
    "Pens": ("Ballpoint pen", "Fountain pen", "Pencil"), "Tools": ("Trowel", "Garden shears"), "Pots": ("Flower pot", "Planter"),
    "Bags": ("Backpack", "Tote bag"),
}  # fmt: skip
_PRICE = {"Grocery": (1.5, 14.0), "Household": (3.0, 60.0), "Stationery": (0.8, 25.0), "Outdoor": (4.0, 90.0)}
_WEEKDAY = (0.82, 0.8, 0.9, 0.98, 1.2, 1.5, 0.55)
_SEASON = (0.85, 0.85, 0.95, 1.0, 1.05, 1.0, 0.95, 0.9, 1.0, 1.05, 1.15, 1.45)
_HOURS = ((10, 20),) * 5 + ((10, 18), (11, 17))
_NORMAL_DAY = 76
STORES = ("Mitte", "Hauptbahnhof")
CASHIERS = ((5, "leonie", "Leonie Brandt"), (6, "emre", "Emre Aydın"), (7, "pia", "Pia Sommer"), (10, "jan", "Jan Kowal"),
            (11, "mira", "Mira Vogel"))  # fmt: skip
_AT_STORE = ((5, 6, 7), (10, 11))


@dataclass(frozen=True, slots=True)
class Product:
    """One thing on the shelf. `price` is the price at the start of all history, without tax."""

    number: int
    name: str
    code: str
    barcode: str | None
    shelf: tuple[str, str, str]
    brand: str | None
    price: float
    cost: float
    food: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a sale."""

    product: int
    quantity: float
    price: float
    discount: float
    note: str | None


@dataclass(frozen=True, slots=True)
class Sale:
    """One visit to the till. A refund gives back something bought some days before (`refund_days`)."""

    moment: datetime
    store: int
    cashier: int
    customer: int | None
    lines: tuple[Line, ...]
    cash: bool
    refund_days: int | None


@dataclass(frozen=True, slots=True)
class Shift:
    """A store's day at the till."""

    day: date
    store: int
    opens: datetime
    closes: datetime
    cashier: int


def ean13(number: int) -> str:
    """A valid barcode of the range kept for in-store use."""
    digits = f"20{number:010d}"
    total = sum(int(digit) * (3 if position % 2 else 1) for position, digit in enumerate(digits))
    return digits + str(-total % 10)


class Retailer:
    """The retailer's catalogue and days."""

    def __init__(self, world: World, products: int = 120, busyness: float = 1.0) -> None:
        self.world, self.busyness = world, busyness
        self.shelves = [
            (department, group, shelf)
            for department, groups in CATEGORIES.items()
            for group, shelves in groups.items()
            for shelf in shelves
        ]
        self.products = [self._product(number) for number in range(1, products + 1)]
        self.sales = lru_cache(maxsize=32)(self._sales)
        self._priced_until = EPOCH
        self._factors: dict[int, list[tuple[date, float]]] = {}  # product -> (day of change, factor from then on)

    def _product(self, number: int) -> Product:
        random = self.world.random("product", number)
        shelf = self.shelves[number % len(self.shelves)]
        low, high = _PRICE[shelf[0]]
        price = round(low + (high - low) * random.random() ** 2, 1) + random.choice((0.05, 0.09, -0.01))
        brand = random.choice(BRANDS) if random.random() > 0.08 else None
        stem = random.choice(_STEMS[shelf[2]])
        name = f"{stem} {random.choice(SIZES)}" if brand is None else f"{brand} {stem} {random.choice(SIZES)}"
        barcode = ean13(number) if random.random() > 0.06 else None
        return Product(
            number, name, f"{shelf[2][:3].upper()}{number:04d}", barcode, shelf, brand, round(price, 2),
            round(price * (0.45 + 0.25 * random.random()), 2), shelf[0] == "Grocery",
        )  # fmt: skip

    def price_changes(self, day: date) -> dict[int, float]:
        """Products that get a new price on that day, with the factor: about one on two days."""
        random = self.world.random("prices", day.isoformat())
        changes = {}
        for _ in range(random.choice((0, 0, 1, 1, 2))):
            changes[random.randrange(1, len(self.products) + 1)] = random.choice((0.9, 0.95, 1.04, 1.07, 1.1))
        return changes

    def price(self, product: int, day: date) -> float:
        """The price without tax on that day."""
        while self._priced_until < day:
            self._priced_until += timedelta(days=1)
            for changed, factor in self.price_changes(self._priced_until).items():
                history = self._factors.setdefault(changed, [(EPOCH, 1.0)])
                history.append((self._priced_until, min(2.0, max(0.5, history[-1][1] * factor))))
        history = self._factors.get(product, [])
        position = bisect_right(history, (day, 9.9))
        return round(self.products[product - 1].price * (history[position - 1][1] if position else 1.0), 2)

    # -- days --------------------------------------------------------------------------------------------------------

    def shifts(self, day: date) -> list[Shift]:
        """Which stores open when; on Sundays only the one at the station does."""
        opens, closes = _HOURS[day.weekday()]
        random = self.world.random("shifts", day.isoformat())
        return [
            Shift(
                day, store, datetime.combine(day, time(opens), ZONE).astimezone(UTC),
                datetime.combine(day, time(closes), ZONE).astimezone(UTC), random.choice(_AT_STORE[store]),
            )
            for store in range(len(STORES))
            if store == 1 or day.weekday() != 6
        ]  # fmt: skip

    def _sales(self, day: date) -> tuple[Sale, ...]:
        """The day's sales in order of time."""
        random = self.world.random("sales", day.isoformat())
        amount = (
            _NORMAL_DAY * self.busyness * _WEEKDAY[day.weekday()] * _SEASON[day.month - 1] * random.uniform(0.85, 1.15)
        )
        opens, closes = _HOURS[day.weekday()]
        stores = [shift.store for shift in self.shifts(day)]
        moments = sorted(
            datetime.combine(day, time(opens), ZONE) + timedelta(hours=(closes - opens) * random.triangular(0, 1, 0.65))
            for _ in range(round(amount))
        )
        return tuple(self._sale(random, moment.astimezone(UTC), day, stores) for moment in moments)

    def _sale(self, random: Random, moment: datetime, day: date, stores: list[int]) -> Sale:
        store = random.choice(stores)
        refund = random.randrange(1, 10) if random.random() < 0.03 else None
        lines = []
        for _ in range(random.choices((1, 2, 3, 4, 5, 6), (26, 24, 19, 14, 10, 7))[0]):
            product = min(len(self.products), int(random.expovariate(2.5 / len(self.products))) + 1)
            quantity = random.choices((1.0, 2.0, 3.0, 0.38, 6.0), (62, 20, 8, 6, 4))[0]
            discount = random.choices((0.0, 5.0, 10.0, 20.0), (84, 5, 8, 3))[0]
            note = random.choice(("ohne Eis", "sin azúcar", "gift wrap")) if random.random() < 0.03 else None
            lines.append(Line(product, quantity, self.price(product, day), discount, note))
        customer = random.randrange(self.world.companies * 2) if random.random() < 0.15 else None
        cashier = random.choice(_AT_STORE[store])
        return Sale(moment, store, cashier, customer, tuple(lines), random.random() < 0.35, refund)
