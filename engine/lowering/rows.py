"""The ways to supply each order line, as rows of a problem: the SKU or a substitute, from here or from along the dock.

Sizes: O orders, K order lines of the window, L rows, I SKUs, G goods, N nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.domain import Limits, mills
from engine.lowering.cells import Cells
from engine.lowering.docks import Draws, draws_of, no_draws, useful
from engine.lowering.goods import Goods
from engine.lowering.places import Places
from engine.lowering.question import WindowInput
from engine.network import Network
from solvers.problem import Bools, Derived, Ints, Lines
from solvers.runs import opens


@dataclass(frozen=True, slots=True)
class Demand:
    """The order lines of the window, int64[K] each: `start` int64[O + 1], the SKU, its good, the units, the order."""

    start: Ints
    order: Ints
    sku: Ints
    good: Ints
    quantity: Ints


@dataclass(frozen=True, slots=True)
class Rows:
    """What each row of a problem stands for, int64[L]: the order line, and what supplies it.

    `sku` and `ratio`: what a parcel shows, and units of it for one of the row. `good`; `source`: the node it is drawn
    from, -1 for that of the option.
    """

    line: Ints
    sku: Ints
    ratio: Ints
    good: Ints
    source: Ints


@dataclass(frozen=True, slots=True)
class Supplies:
    """The goods that may supply each line, the SKU's own first: int64[W] each, ascending by line."""

    line: Ints
    sku: Ints
    ratio: Ints
    good: Ints


def demand_of(window: WindowInput, goods: Goods) -> Demand:
    """The order lines as arrays."""
    orders, index = window.orders, goods.index
    counts = np.array([len(order.lines) for order in orders], np.int64)
    sku = np.array([index[line.sku] for order in orders for line in order.lines], np.int64)
    return Demand(
        start=np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]),
        order=np.repeat(np.arange(len(orders)), counts),
        sku=sku,
        good=np.array(goods.own, np.int64)[sku] if goods.parts else sku,
        quantity=np.array([line.quantity for order in orders for line in order.lines], np.int64),
    )


def own_supplies(demand: Demand) -> Supplies:
    """Every line by what it asks for."""
    return Supplies(np.arange(len(demand.sku)), demand.sku, np.ones(len(demand.sku), np.int64), demand.good)


def with_substitutes(
    window: WindowInput,
    goods: Goods,
    cells: Cells,
    demand: Demand,
    own: Supplies,
    limits: tuple[Limits, ...],
    within: Bools,
) -> Supplies:
    """With the substitutes of the orders that allow them. `within` bool[O, N]: nodes whose stock can go to the order.

    A substitute is offered only where the window wants more of the SKU than these nodes have free: nobody gets
    something else while what he ordered is there.
    """
    wanted = np.zeros(len(goods.entries), np.int64)
    np.add.at(wanted, demand.sku, demand.quantity)
    free = goods.whole(cells.free)
    able = able_of(window.network, goods)
    added: list[tuple[int, int, int, int]] = []
    for o in [o for o, limit in enumerate(limits) if limit.allow_substitutes]:
        for line in range(int(demand.start[o]), int(demand.start[o + 1])):
            sku, good = int(demand.sku[line]), int(demand.good[line])
            entry = goods.entries[sku]
            if entry is None or not entry.substitutes:
                continue
            there = within[o] if able is None else within[o] & able[good]
            if int(free[good][there].sum()) >= wanted[sku]:
                continue
            for other in entry.substitutes:
                at = goods.index[other.sku]
                if not window.strict_skus or goods.known(at):
                    added.append((line, at, other.ratio, goods.several(at, other.ratio)))
    columns = zip(*added, strict=True) if added else iter([()] * 4)
    joined = [
        np.concatenate([first, np.array(more, np.int64)])
        for first, more in zip((own.line, own.sku, own.ratio, own.good), columns, strict=True)
    ]
    sequence = np.argsort(joined[0], kind="stable")
    return Supplies(*(column[sequence] for column in joined))


def able_of(network: Network, goods: Goods) -> Bools | None:
    """bool[G, N]: the nodes that can handle each good; None if no good needs anything."""
    if not any(goods.requires):
        return None
    masks = {needs: network.eligibility.able(needs) for needs in set(goods.requires)}
    return np.array([masks[needs] for needs in goods.requires])


def lines_of(
    window: WindowInput, goods: Goods, cells: Cells, places: Places, demand: Demand, supplies: Supplies, by_rule: bool
) -> tuple[Rows, Lines, Derived, Ints]:
    """The rows, as ids and as a problem has them, the derived items among their items, and the stock of all items.

    Items are the goods, then each good at a node of a dock as it can leave from the dock's first. `by_rule`: some order
    is routed by a rule, which may prefer a node for other reasons than its cost.
    """
    network = window.network
    stock = goods.whole(cells.free)
    allowed = _allowed(window, goods, places, demand, supplies)
    order = demand.order[supplies.line]
    draws = no_draws()
    if places.leader is not None:
        leader, drawn = places.leader[order], allowed
        if not by_rule:
            wanted = _wanted(goods, demand, supplies)
            drawn = useful(network, goods, cells.free, wanted, supplies.good, allowed)
        draws = draws_of(drawn, leader, stock[supplies.good] > 0)
        allowed &= leader == np.arange(leader.shape[1])
    supply = np.append(np.arange(len(supplies.line)), draws.supply)
    source = np.append(np.full(len(supplies.line), -1, np.int64), draws.source)
    item, derived, stock = _items(goods, supplies, draws, stock)
    eligible, more_line, more_unit = allowed, np.zeros(len(item), np.int64), np.zeros(len(item), np.int64)
    if len(draws.supply):
        far = np.zeros((len(draws.supply), allowed.shape[1]), bool)
        far[np.arange(len(far)), draws.leader] = True
        eligible = np.concatenate([allowed, far])
        first = len(supplies.line)
        more_line[first:] = network.handle_line[draws.source] - network.handle_line[draws.leader]
        more_unit[first:] = network.handle_unit[draws.source] - network.handle_unit[draws.leader]
        sequence = np.lexsort((supply, source, supplies.line[supply]))
        supply, source, item, eligible = supply[sequence], source[sequence], item[sequence], eligible[sequence]
        more_line, more_unit = more_line[sequence], more_unit[sequence]
    line = supplies.line[supply]
    good = supplies.good[supply]
    rows = Rows(line, supplies.sku[supply], supplies.ratio[supply], good, source)
    lines = Lines(
        start=np.searchsorted(line, demand.start),
        line=line,
        item=item,
        quantity=demand.quantity[line],
        weight_g=np.array(goods.weight_g, np.int64)[good],
        volume_mm3=np.array(goods.volume_mm3, np.int64)[good],
        eligible=eligible,
        draw=np.cumsum(opens(line) | opens(source)) - 1,
        more_line=more_line,
        more_unit=more_unit,
        group=_groups(window)[line],
        value=np.zeros(len(line), np.int64),
        alone=np.array(goods.alone, np.bool_)[good],
        dated=np.zeros(len(line), np.int64),
    )
    return rows, lines, derived, stock


def _wanted(goods: Goods, demand: Demand, supplies: Supplies) -> Ints:
    """int64[I]: the most of each SKU that the window can take, all lines and ways together."""
    units = np.zeros(len(goods), np.int64)
    np.add.at(units, supplies.good, demand.quantity[supplies.line])
    wanted = units[: len(goods.entries)].copy()
    for good in range(len(goods.entries), len(goods)):
        for sku, count in goods.parts_of(good).items():
            wanted[sku] += count * units[good]
    return wanted


def _allowed(window: WindowInput, goods: Goods, places: Places, demand: Demand, supplies: Supplies) -> Bools:
    """bool[W, N]: nodes whose stock may serve each supply."""
    allowed: Bools = places.may[demand.order[supplies.line]]
    able = able_of(window.network, goods)
    if able is not None:
        allowed &= able[supplies.good]
    if window.strict_skus:
        known = np.array([goods.known(sku) for sku in range(len(goods.entries))], bool)
        allowed &= known[supplies.sku][:, None]
    return allowed


def _items(goods: Goods, supplies: Supplies, draws: Draws, stock: Ints) -> tuple[Ints, Derived, Ints]:
    """The item of each supply and draw, the derived items, and the stock of all items."""
    single, count, nodes = len(goods.entries), len(stock), stock.shape[1]
    if not goods.parts and not len(draws.supply):
        return supplies.good, Derived.none(), stock
    key = (supplies.good[draws.supply] * nodes + draws.source) * nodes + draws.leader
    distinct, which = np.unique(key, return_inverse=True)
    good, source, leader = distinct // nodes // nodes, distinct // nodes % nodes, distinct % nodes
    far = np.zeros((len(distinct), nodes), np.int64)
    far[np.arange(len(distinct)), leader] = stock[good, source]
    parts = [goods.parts_of(each) for each in (*range(single, count), *good.tolist())]
    derived = Derived(
        item=np.arange(single, count + len(distinct), dtype=np.int64),
        start=np.cumsum([0, *(len(each) for each in parts)], dtype=np.int64),
        part=np.array([part for each in parts for part in each], np.int64),
        count=np.array([units for each in parts for units in each.values()], np.int64),
        source=np.append(np.full(count - single, -1, np.int64), source),
    )
    return np.append(supplies.good, count + which), derived, np.concatenate([stock, far])


def _groups(window: WindowInput) -> Ints:
    """The group of each order line, numbered over the window; -1 for none."""
    if not any(line.group is not None for order in window.orders for line in order.lines):
        return np.full(sum(len(order.lines) for order in window.orders), -1, np.int64)
    numbers: dict[tuple[int, str], int] = {}
    found = [
        -1 if line.group is None else numbers.setdefault((o, line.group), len(numbers))
        for o, order in enumerate(window.orders)
        for line in order.lines
    ]
    return np.array(found, np.int64)


def values_of(window: WindowInput, limits: tuple[Limits, ...]) -> Ints:
    """Mills of one unit of each line of orders with a `min_split_value`: its price, else its SKU's value, else 0."""
    found = []
    for order, limit in zip(window.orders, limits, strict=True):
        for line in order.lines:
            entry = window.items.get(line.sku)
            money = line.unit_price or (entry.value if entry else None) or "0"
            found.append(0 if limit.min_split_value is None else mills(money))
    return np.array(found, np.int64)
