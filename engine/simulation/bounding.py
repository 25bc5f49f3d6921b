"""How long the lists of an answer may be. What grows with nodes, days, regions, SKUs or orders is told as far as it
matters most, and how much of it is left off; sums are always of everything.

The limits are those of an answer as a whole: with more reports or seeds each tells less, so that an answer has some
tens of MB at most, whatever was asked. What is left off is in the decisions of each run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import nlargest
from typing import NamedTuple, TypeVar

import msgspec

from engine.simulation.figures import Figures, Load

CELLS = 150_000
"""A node's days: in `figures.loads`, and in `utilisation`. Busy nodes have all theirs, others none."""
FLOWS = 60_000
"""From nodes to regions: in `figures.flows`, and changes in `flows`."""
SKUS, REGIONS, PRICES = 60_000, 60_000, 20_000
"""In `figures.short`, `figures.regions` and `figures.prices`."""
SHIFTS, MOVES = 60_000, 60_000
"""Of `moves`: ways that orders moved, and single orders."""
MOVES_EACH = 20
"""The most cheapest moves that are told of a run, and dearest ones."""
PLACES = 50
"""Nodes told for a SKU that was asked about."""

T = TypeVar("T")
K = TypeVar("K", str, tuple[str, str])


class Room(NamedTuple):
    """How much one report may tell; `shifts`, `moves`: one of its runs."""

    cells: int
    flows: int
    skus: int
    regions: int
    prices: int
    shifts: int
    moves: int


def room(reports: int, runs: int) -> Room:
    """The share of a report in an answer of so many, and of so many runs that are compared."""
    each, one = max(1, reports), max(1, runs)
    return Room(
        CELLS // each,
        FLOWS // each,
        SKUS // each,
        REGIONS // each,
        PRICES // each,
        max(1, SHIFTS // one),
        max(1, min(MOVES_EACH, MOVES // (2 * one))),
    )


def largest(entries: Mapping[K, T], most: int, weight: Callable[[T], int]) -> dict[K, T]:
    """So many entries of the largest weight, in their sequence; of equals the last by name."""
    if len(entries) <= most:
        return dict(entries)
    kept = set(nlargest(most, entries, key=lambda name: (weight(entries[name]), name)))
    return {name: entry for name, entry in entries.items() if name in kept}


def node_sums(figures: Figures) -> dict[str, Load]:
    """What each node ships on all days together."""
    found = {}
    for node_id, days in figures.loads.items():
        found[node_id] = whole = Load()
        for day in days.values():
            whole.parcels += day.parcels
            whole.units += day.units
    return found


def daily(figures: Figures, mine: Mapping[str, Load], beside: Mapping[str, Load], room: Room) -> frozenset[str]:
    """The nodes whose days are told: the busiest by their own sums or by the baseline's, `beside`."""
    dates = len({date for days in figures.loads.values() for date in days})
    most = max(1, room.cells // max(1, dates))
    weights = {
        name: max(each.parcels for each in (mine.get(name), beside.get(name)) if each is not None)
        for name in sorted(mine.keys() | beside.keys())
    }
    return frozenset(largest(weights, most, int))


class Bounded(NamedTuple):
    """Figures as they are told. `left_off`: how many entries are not, by the name of the list; only those above 0."""

    figures: Figures
    left_off: dict[str, int]


def bounded(figures: Figures, room: Room, nodes: frozenset[str]) -> Bounded:
    """With the days of these nodes only, and the largest of all else that is long."""
    flows = {(node_id, region): flow for node_id, to in figures.flows.items() for region, flow in to.items()}
    prices = {(sku, node_id): price for sku, at in figures.prices.items() for node_id, price in at.items()}
    told_flows = largest(flows, room.flows, lambda flow: flow.parcels)
    told_prices = largest(prices, room.prices, lambda price: price.mills)
    told = msgspec.structs.replace(
        figures,
        loads={node_id: days for node_id, days in figures.loads.items() if node_id in nodes},
        flows=_nested(told_flows),
        prices=_nested(told_prices),
        short=largest(figures.short, room.skus, lambda short: short.units),
        regions=largest(figures.regions, room.regions, lambda region: region.parcels),
    )
    left_off = {
        "figures.loads": _cells(figures) - _cells(told),
        "figures.flows": len(flows) - len(told_flows),
        "figures.prices": len(prices) - len(told_prices),
        "figures.short": len(figures.short) - len(told.short),
        "figures.regions": len(figures.regions) - len(told.regions),
    }
    return Bounded(told, {name: count for name, count in left_off.items() if count})


def _cells(figures: Figures) -> int:
    return sum(len(days) for days in figures.loads.values())


def _nested(entries: Mapping[tuple[str, str], T]) -> dict[str, dict[str, T]]:
    found: dict[str, dict[str, T]] = {}
    for (outer, inner), entry in entries.items():
        found.setdefault(outer, {})[inner] = entry
    return found
