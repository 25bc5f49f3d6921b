"""Where prices come from: true rates, learned rates, sampled futures, or followed without a solver."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bench.papers.deciding import Moment, Prices
from bench.papers.source import Floats
from bench.papers.world import World
from engine.pricing.descent import STEP, stepped
from solvers.menu import Supply
from solvers.problem import Ints
from solvers.shadow import Outlook

FORECAST_WORTH = 300.0


def no_prices(_: Moment) -> Ints | None:
    """Live-myopic: the cheapest plan on the stock there is now."""
    return None


def supply(stock: Ints) -> Supply:
    """Stock alone, no rooms."""
    none = np.zeros(0, np.int64)
    return Supply(stock, none, none)


def in_money(price: Floats) -> Ints:
    """Prices as whole money units."""
    found: Ints = np.rint(price).astype(np.int64)
    return found


def true_rates(world: World, outlook: Outlook) -> Prices:
    """Duals for the mean demand to come at the rates that the arrivals are drawn from."""

    def prices(now: Moment) -> Ints | None:
        return in_money(outlook.prices(world.rate * now.remaining, supply(now.stock)).stock)

    return prices


def learned_rates(world: World, outlook: Outlook, forecast: Floats | None, half_life: float | None = None) -> Prices:
    """Duals for the mean demand to come at rates learned on the way: forecast, worth some orders, and what came.

    Without a forecast every kind starts equal at nothing; the rate of orders is that of the slots gone by.
    """

    def prices(now: Moment) -> Ints | None:
        age = len(now.past) - 1 - np.arange(len(now.past))
        weight = None if half_life is None else 0.5 ** (age / half_life)
        seen = np.bincount(now.past, weights=weight, minlength=len(world.rate)).astype(np.float64)
        gone = world.horizon - now.remaining
        if forecast is not None:
            seen = seen + FORECAST_WORTH * forecast
        total, filled = seen.sum(), len(now.past) / gone if gone else 1.0
        if total == 0:
            return None
        return in_money(outlook.prices(seen / total * filled * now.remaining, supply(now.stock)).stock)

    return prices
