"""What the compiled loops of `simple` read and write: columns of int64, and their types.

States are numbered in mixed radix over an order's lines, the first slowest (see `states`), so the number of what is
left of state s after part t is s - t. Everything is int64; what cannot be is FAR.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.compiled import type_of
from solvers.problem import Bools, Ints

FAR = 2**61
BEYOND = 2**50
LARGE = float(2**45)
"""Mills, grams and mm3 of a whole order at most: FINE parts of them, and sums of many, still fit."""


class Wanted(NamedTuple):
    """`Lines`, and `odd` bool[O]: the order is not simple whatever its quantities."""

    start: Ints
    item: Ints
    quantity: Ints
    weight_g: Ints
    volume_mm3: Ints
    eligible: Bools
    more_line: Ints
    more_unit: Ints
    dated: Ints
    odd: Bools


class Ways(NamedTuple):
    """`Options`, the union of all curves' breaks `up_to_g` int64[B] with `price` int64[C * (B + 1)], and `toll`."""

    start: Ints
    node: Ints
    curve: Ints
    ship_parcel: Ints
    ship_line: Ints
    ship_unit: Ints
    ship_per_kg: Ints
    handle_parcel: Ints
    handle_line: Ints
    handle_unit: Ints
    max_weight_g: Ints
    dim_divisor: Ints
    late_days: Ints
    bucket: Ints
    up_to_g: Ints
    price: Ints
    toll: Ints


class Stores(NamedTuple):
    """What is free: `stock` int64[I * N], boxes and units by bucket int64[D]."""

    stock: Ints
    parcels: Ints
    units: Ints


class Sizes(NamedTuple):
    """Of some orders: lines and options that can ship anything, states, pairs of the DP, units that can ship.

    `lines` is 0 where nothing can, -1 where the order is not simple; the others are 0 in both cases.
    """

    lines: Ints
    options: Ints
    states: Ints
    pairs: Ints
    units: Ints


class Table(NamedTuple):
    """G simple orders. `line` rows of `Lines` by descending `most`, those of order g in `line_start[g:g + 2]`; `radix`
    the weight of a line's digit in a state's number. `option` in `option_start`. Of every state, in `state_start`:
    `left` units charged as unfilled where just it ships, `units` it ships. `price` in `cell_start`, states of one
    option together: mills of one box with the split penalty, FAR where it cannot be."""

    order: Ints
    line_start: Ints
    line: Ints
    item: Ints
    most: Ints
    radix: Ints
    option_start: Ints
    option: Ints
    node: Ints
    bucket: Ints
    late_days: Ints
    state_start: Ints
    left: Ints
    units: Ints
    cell_start: Ints
    price: Ints


class Rates(NamedTuple):
    """Prices that a pass adds to the table's. `cell` int64[I * N] of a unit, `parcels`, `rooms` int64[D + 1] of boxes
    and units by bucket (0 in the last), empty where nothing has one; `fill` int64[L] what filling a unit of a line is
    worth, `must` int64[L]: 1 where the whole line ships, both empty where every unit may stay."""

    cell: Ints
    parcels: Ints
    rooms: Ints
    fill: Ints
    must: Ints


class Found(NamedTuple):
    """The answers of a pass, by place: `value` (FAR: nothing can be; at least the limit asked for: no pieces), the
    `state` that ships, `late` days, and 1 in `coupled` where the pieces compete for more than there is. Pieces are
    (`option`, `part`) in `start`."""

    value: Ints
    state: Ints
    late: Ints
    coupled: Ints
    start: Ints
    option: Ints
    part: Ints


WANTED, WAYS, STORES, SIZES = map(type_of, (Wanted, Ways, Stores, Sizes))
TABLE, RATES, FOUND = map(type_of, (Table, Rates, Found))


class Terms(NamedTuple):
    """What a pass goes by. Money of the table counts `scale` times; `unfilled` a unit, `late` a day and `split` a box
    in that money. `fullest`: units first. `narrow`: of what is there now."""

    nodes: int
    scale: int
    unfilled: int
    late: int
    split: int
    fullest: bool
    narrow: bool


TERMS = type_of(Terms)


class Scratch(NamedTuple):
    """Room to work in for one order: by state, by state and line (`digit`: units of each line in each state), by line,
    by box; and by layer and state, a layer for each node that boxes of one plan compete for (`tight`)."""

    digit: Ints
    price: Ints
    way: Ints
    least: Ints
    part: Ints
    stay: Ints
    total: Ints
    step: Ints
    box: Ints
    free: Ints
    each: Ints
    have: Ints
    take: Ints
    option: Ints
    share: Ints
    tight: Ints
    layer: Ints
    layer_part: Ints
    layer_way: Ints
    layer_take: Ints


SCRATCH = type_of(Scratch)

MOST_TIGHT = 12
"""Nodes that boxes of one plan may compete for before the order is called coupled."""


def scratch(sizes: Sizes) -> Scratch:
    """Enough for every one of the orders."""
    most, wide, pieces = (int(column.max(initial=1)) for column in (sizes.states, sizes.lines, sizes.units))

    digits, layers = int((sizes.states * sizes.lines).max(initial=1)), (MOST_TIGHT + 1) * most
    of_state, of_line, of_box, of_layer = [most] * 7, [wide] * 4, [pieces] * 2, [layers] * 4
    return Scratch._make(
        np.zeros(size, np.int64) for size in (digits, *of_state, 4 * most, *of_line, *of_box, MOST_TIGHT, *of_layer)
    )
