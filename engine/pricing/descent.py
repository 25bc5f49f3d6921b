"""Prices between programmes: up where a cell sells faster than its stock lasts, down where it sells slower.

Dual mirror descent with the budget rate re-reckoned from what is left (Balseiro, Lu & Mirrokni 2023, "The Best of Many
Worlds"; the adaptive form keeps to the pace of the remaining stock instead of the first).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

STEP = 0.0115
"""Part of the price of a typical parcel by which a price moves for each unit sold ahead of the pace.

On the test bed of `bench.papers` (e1b) this captures 81 % with 400 steps and 73 % with 100 (two instances); three times
as much, as for steps after every order, 71 % and 30 %; a third 66 % and 65 %.
"""

GENTLE = 0.08
"""The same where a programme made the prices, for selling all of a cell ahead of the pace: what it knows of large
stocks is better than what their sales of a few minutes say (e1: four times as far above the floor with STEP)."""


def gentle(parcel: float, stock: Ints) -> Floats:
    """`rate` of `stepped` between two programmes; `parcel`: money of a typical parcel, stock int64[I, N]."""
    found: Floats = GENTLE * parcel / (1.0 + stock.astype(np.float64))
    return found


def stepped(price: Floats, used: Ints, elapsed: float, stock: Ints, remaining: float, rate: float | Floats) -> Floats:
    """The prices after some time: max(0, price + rate * (used - elapsed * stock / remaining)).

    price float64[I, N] in money; used int64[I, N] units taken meanwhile; stock int64[I, N] free before that. `elapsed`
    and `remaining`, from the same instant to the next replenishment, in one unit of time (orders, hours), above 0.
    `rate`: money for each unit ahead of the pace: STEP times a parcel's price, or `gentle`.
    """
    if remaining <= 0:
        raise ValueError("no time is left to spread the stock over")
    pace = stock * min(1.0, elapsed / remaining)
    moved: Floats = np.maximum(0.0, price + rate * (used - pace))
    return moved


FRESH = 0.25
"""Part that prices of new futures have in the next ones; the rest are those before, moved by what sold since. Prices so
rest on the futures of the last few programmes, ever more of them than any single one could pay for."""


def renewed(price: Floats, fresh: Floats) -> Floats:
    """Prices followed until now, and those of new futures, as one; float64[I, N] each."""
    found: Floats = price + FRESH * (fresh - price)
    return found
