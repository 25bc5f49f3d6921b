"""Orders as the sample merchant's customers place them: where people live, what sells, few lines with a long tail."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random

from engine.domain import Order, OrderLine, ShipTo
from engine.sample.places import METROS
from engine.sample.world import World

_LINES = (0.50, 0.22, 0.12, 0.06, 0.04)
"""Chance of 1 to 5 lines; the rest is the tail of 6 to 40."""
_LINES_MAX = 40


class OrderGenerator:
    """Endless orders from a seed. `prefix` makes the order ids unique between runs: `prefix-0000001` and on."""

    def __init__(self, world: World, seed: int, prefix: str = "O") -> None:
        self._random = Random(seed)
        self._prefix = prefix
        self._count = 0
        self._skus = world.skus
        self._sku_steps = list(accumulate(world.demand.tolist()))
        self._metro_steps = list(accumulate(metro.thousands for metro in METROS))

    def order(self, placed_at: datetime) -> Order:
        """The next order, placed at this instant."""
        self._count += 1
        rng = self._random
        dated = rng.random()
        return Order(
            order_id=f"{self._prefix}-{self._count:07d}",
            placed_at=placed_at,
            channel="app" if rng.random() < 0.3 else "web",
            ship_to=self._ship_to(),
            level="expedited" if rng.random() < 0.08 else "standard",
            deliver_by=placed_at + timedelta(days=rng.randint(3, 8)) if dated < 0.15 else None,
            priority=5 if rng.random() < 0.03 else 0,
            lines=self._lines(),
        )

    def orders(self, count: int, placed_at: datetime, every: timedelta = timedelta(0)) -> Iterator[Order]:
        """`count` orders, one each `every`."""
        for index in range(count):
            yield self.order(placed_at + index * every)

    def _ship_to(self) -> ShipTo:
        """A metro by population and a point near its centre (most customers within 25 km)."""
        rng = self._random
        metro = METROS[bisect(self._metro_steps, rng.random() * self._metro_steps[-1])]
        return ShipTo(
            country="US",
            region=metro.region,
            postal_code=metro.postal_code,
            lat=round(metro.lat + rng.gauss(0, 0.12), 4),
            lon=round(metro.lon + rng.gauss(0, 0.15), 4),
            timezone=metro.timezone,
        )

    def _lines(self) -> list[OrderLine]:
        """Different SKUs by their demand; mostly one unit of each."""
        rng, wanted = self._random, self._line_count()
        chosen: dict[int, None] = {}
        while len(chosen) < min(wanted, len(self._skus)):
            chosen[min(bisect(self._sku_steps, rng.random()), len(self._skus) - 1)] = None
        return [
            OrderLine(line_id=str(number), sku=sku.sku, quantity=self._quantity(), unit_price=sku.value)
            for number, sku in enumerate((self._skus[index] for index in chosen), start=1)
        ]

    def _line_count(self) -> int:
        draw = self._random.random()
        for count, chance in enumerate(_LINES, start=1):
            if draw < chance:
                return count
            draw -= chance
        return min(_LINES_MAX, len(_LINES) + 1 + int(self._random.expovariate(1 / 5)))

    def _quantity(self) -> int:
        draw = self._random.random()
        if draw < 0.80:
            return 1
        return 2 if draw < 0.93 else 3 + int(self._random.expovariate(1 / 2))
