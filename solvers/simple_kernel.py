"""The inner loops of `simple`: prices of all shipments of simple orders, and the subset DP over them.

States are numbered in mixed radix over an order's lines, the first slowest (see `states`), so the number of what is
left of state s after part t is s - t. Everything is int64; what cannot be is FAR.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import types

from solvers.compiled import FLAG, INT, INTS, NONE, columns_of, compiled, inner
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


WANTED, WAYS, STORES, SIZES = map(columns_of, (Wanted, Ways, Stores, Sizes))
TABLE, RATES, FOUND = map(columns_of, (Table, Rates, Found))


@inner
def _has_room(ways: Ways, stores: Stores, option: int) -> bool:
    bucket = ways.bucket[option]
    return bool(bucket < 0 or (stores.parcels[bucket] > 0 and stores.units[bucket] > 0))


@inner
def _count_lines(wanted: Wanted, ways: Ways, stores: Stores, nodes: int, order: int, most: Ints) -> int:
    """Set `most` of the order's rows to what could ship, and count those with any; -1 where two are of one good."""
    lines = 0
    for row in range(wanted.start[order], wanted.start[order + 1]):
        item, last, total = wanted.item[row], -1, 0
        for option in range(ways.start[order], ways.start[order + 1]):
            node = ways.node[option]
            if node == last or not wanted.eligible[row * nodes + node] or not _has_room(ways, stores, option):
                continue
            last = node
            total += min(stores.stock[item * nodes + node], wanted.quantity[row])
            if total >= wanted.quantity[row]:
                break
        most[row] = min(total, wanted.quantity[row])
        if most[row] == 0:
            continue
        lines += 1
        for other in range(wanted.start[order], row):
            if wanted.item[other] == item and most[other] > 0:
                return -1
    return lines


@inner
def _count_options(wanted: Wanted, ways: Ways, stores: Stores, nodes: int, order: int, most: Ints) -> int:
    """How many options can ship anything of the order; -1 where it is not simple: too heavy for one box, or dear."""
    low, high, count, units = wanted.start[order], wanted.start[order + 1], 0, 0
    grams = volume = more = 0.0
    for row in range(low, high):
        grams += float(wanted.weight_g[row]) * most[row]
        volume += float(wanted.volume_mm3[row]) * most[row]
        more += abs(float(wanted.more_line[row])) + abs(float(wanted.more_unit[row])) * most[row]
        units += most[row]
    if grams > LARGE or volume > LARGE:
        return -1
    for option in range(ways.start[order], ways.start[order + 1]):
        if not _has_room(ways, stores, option):
            continue
        node, some, money = ways.node[option], False, more
        for row in range(low, high):
            cell = wanted.item[row] * nodes + node
            some |= most[row] > 0 and wanted.eligible[row * nodes + node] and stores.stock[cell] > 0
            if len(ways.toll):
                money += float(ways.toll[cell]) * most[row]
        if not some:
            continue
        count += 1
        money += (high - low) * (float(ways.ship_line[option]) + ways.handle_line[option])
        money += units * (float(ways.ship_unit[option]) + ways.handle_unit[option])
        money += float(ways.ship_per_kg[option]) * grams
        money += float(ways.ship_parcel[option]) + ways.handle_parcel[option]
        if grams > ways.max_weight_g[option] or money > LARGE:
            return -1
    return count


@compiled(NONE, WANTED, WAYS, STORES, INT, INT, INTS, INTS, SIZES)
def measure(
    wanted: Wanted, ways: Ways, stores: Stores, nodes: int, most_pairs: int, orders: Ints, most: Ints, sizes: Sizes
) -> None:
    """Look at each of `orders`: see `Sizes`. `most` int64[L] is set to the units of each row that could ship."""
    for at in range(len(orders)):
        order, states, pairs, units = orders[at], 1, 1.0, 0
        lines = -1 if wanted.odd[order] else _count_lines(wanted, ways, stores, nodes, order, most)
        sizes.lines[at] = lines
        if lines <= 0:
            continue
        for row in range(wanted.start[order], wanted.start[order + 1]):
            pairs *= (most[row] + 1.0) * (most[row] + 2.0) / 2.0
            if pairs > most_pairs:
                break
            states *= most[row] + 1
            units += most[row]
        options = -1 if pairs > most_pairs else _count_options(wanted, ways, stores, nodes, order, most)
        if options < 0:
            sizes.lines[at] = -1
        else:
            sizes.options[at], sizes.states[at], sizes.pairs[at], sizes.units[at] = options, states, int(pairs), units


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


TERMS = types.NamedTuple([INT, INT, INT, INT, INT, FLAG, FLAG], Terms)


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


SCRATCH = columns_of(Scratch)

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


@inner
def _set_digits(table: Table, at: int, room: Scratch) -> None:
    """How many units of each line every state of an order ships."""
    low, lines = table.line_start[at], table.line_start[at + 1] - table.line_start[at]
    for state in range(table.state_start[at + 1] - table.state_start[at]):
        for line in range(lines):
            room.digit[state * lines + line] = state // table.radix[low + line] % (table.most[low + line] + 1)


@inner
def _set_lines(wanted: Wanted, table: Table, at: int, most: Ints, room: Scratch) -> None:
    """The lines of a simple order by descending units, their radix, and what each state ships and leaves."""
    order, low = table.order[at], table.line_start[at]
    lines, rest = 0, 0
    for row in range(wanted.start[order], wanted.start[order + 1]):
        rest += max(0, wanted.quantity[row] - wanted.dated[row])
        if most[row] == 0:
            continue
        place = low + lines
        while place > low and most[table.line[place - 1]] < most[row]:
            table.line[place] = table.line[place - 1]
            place -= 1
        table.line[place] = row
        lines += 1
    radix = 1
    for place in range(low + lines - 1, low - 1, -1):
        row = table.line[place]
        table.item[place], table.most[place], table.radix[place] = wanted.item[row], most[row], radix
        radix *= most[row] + 1
    _set_digits(table, at, room)
    first = table.state_start[at]
    for state in range(radix):
        units, left = 0, rest
        for line in range(lines):
            row, digit = table.line[low + line], room.digit[state * lines + line]
            charged = wanted.quantity[row] - wanted.dated[row]
            units += digit
            left += max(0, charged - digit) - max(0, charged)
        table.units[first + state], table.left[first + state] = units, left


@inner
def _set_contents(wanted: Wanted, ways: Ways, table: Table, at: int, divisor: int, room: Scratch) -> None:
    """`step` of every state: its place among the curves' breaks; `box`: lines, units, grams and mills more of each."""
    first, states = table.state_start[at], table.state_start[at + 1] - table.state_start[at]
    low, lines = table.line_start[at], table.line_start[at + 1] - table.line_start[at]
    for state in range(states):
        some = grams = volume = more = 0
        for line in range(lines):
            row, digit = table.line[low + line], room.digit[state * lines + line]
            if digit:
                some += 1
                grams += digit * wanted.weight_g[row]
                volume += digit * wanted.volume_mm3[row]
                more += wanted.more_line[row] + digit * wanted.more_unit[row]
        billable = max(grams, -(-volume // divisor)) if divisor > 0 else grams
        room.step[state] = np.searchsorted(ways.up_to_g, billable)
        room.box[state], room.box[states + state] = some, table.units[first + state]
        room.box[2 * states + state], room.box[3 * states + state] = grams, more


@inner
def _set_prices(
    wanted: Wanted, ways: Ways, stores: Stores, table: Table, nodes: int, split: int, at: int, room: Scratch
) -> None:
    """The price of every state by every option of a simple order that can ship anything."""
    low, lines = table.line_start[at], table.line_start[at + 1] - table.line_start[at]
    states, place, known = table.state_start[at + 1] - table.state_start[at], table.option_start[at], -1
    breaks, boxes = len(ways.up_to_g) + 1, room.box
    for option in range(ways.start[table.order[at]], ways.start[table.order[at] + 1]):
        node, bucket, some = ways.node[option], ways.bucket[option], False
        if not _has_room(ways, stores, option):
            continue
        for line in range(lines):
            row, cell = table.line[low + line], table.item[low + line] * nodes + node
            room.free[line] = stores.stock[cell] if wanted.eligible[row * nodes + node] else 0
            room.each[line] = ways.toll[cell] if len(ways.toll) else 0
            some |= room.free[line] > 0
        if not some:
            continue
        if ways.dim_divisor[option] != known:
            known = ways.dim_divisor[option]
            _set_contents(wanted, ways, table, at, known, room)
        table.option[place], table.node[place], table.bucket[place] = option, node, bucket
        table.late_days[place] = ways.late_days[option]
        cell = table.cell_start[at] + (place - table.option_start[at]) * states
        place += 1
        table.price[cell] = FAR
        fixed = ways.ship_parcel[option] + ways.handle_parcel[option] + split
        per_line, per_unit = (
            ways.ship_line[option] + ways.handle_line[option],
            ways.ship_unit[option] + ways.handle_unit[option],
        )
        for state in range(1, states):
            units = boxes[states + state]
            money = fixed + boxes[3 * states + state] + boxes[state] * per_line + units * per_unit
            money += (ways.ship_per_kg[option] * boxes[2 * states + state] + 500) // 1000
            if ways.curve[option] >= 0:
                money += ways.price[ways.curve[option] * breaks + room.step[state]]
            possible = bucket < 0 or units <= stores.units[bucket]
            for line in range(lines):
                digit = room.digit[state * lines + line]
                possible &= digit <= room.free[line]
                money += digit * room.each[line]
            table.price[cell + state] = money if possible and money - split < BEYOND else FAR


@compiled(NONE, WANTED, WAYS, STORES, TABLE, INT, INT, INTS, SCRATCH)
def tabulate(
    wanted: Wanted, ways: Ways, stores: Stores, table: Table, nodes: int, split: int, most: Ints, room: Scratch
) -> None:
    """Fill the table: its `order` and all starts are set, the rest is to be written. `most`: from `measure`."""
    for at in range(len(table.order)):
        _set_lines(wanted, table, at, most, room)
        _set_prices(wanted, ways, stores, table, nodes, split, at, room)


@inner
def _is_tight(room: Scratch, node: int, tight: int) -> bool:
    one = 0
    while one < tight and room.tight[one] != node:
        one += 1
    return one < tight


@inner
def _cheapest_boxes(
    stores: Stores, table: Table, rates: Rates, terms: Terms, at: int, latest: int, tight: int, only: int, room: Scratch
) -> None:
    """`price` of every state in one box, by options at most `latest` days late, and the first that has it (`way`).

    From the node `only`, or where that is -1 from all but the first `tight` of the tight ones.
    """
    nodes, narrow, scale = terms.nodes, terms.narrow, terms.scale
    low, lines = table.line_start[at], table.line_start[at + 1] - table.line_start[at]
    first, states = table.state_start[at], table.state_start[at + 1] - table.state_start[at]
    room.price[:states], room.way[:states] = FAR, -1
    for place in range(table.option_start[at], table.option_start[at + 1]):
        node, bucket = table.node[place], table.bucket[place]
        if table.late_days[place] > latest or (only >= 0 and node != only):
            continue
        if only < 0 and tight > 0 and _is_tight(room, node, tight):
            continue
        most, box_toll, unit_toll = FAR, 0, 0
        if narrow and bucket >= 0:
            most = stores.units[bucket] if stores.parcels[bucket] > 0 else 0
        if most <= 0:
            continue
        if len(rates.parcels):
            box_toll, unit_toll = rates.parcels[bucket], rates.rooms[bucket]
        tolled = short = False
        for line in range(lines):
            cell = table.item[low + line] * nodes + node
            room.each[line], room.free[line] = unit_toll, table.most[low + line]
            if len(rates.cell):
                room.each[line] += rates.cell[cell]
            tolled |= room.each[line] != 0
            if narrow and stores.stock[cell] < room.free[line]:
                room.free[line], short = stores.stock[cell], True
        cell = table.cell_start[at] + (place - table.option_start[at]) * states
        for state in range(1, states):
            base = table.price[cell + state]
            if base >= FAR or table.units[first + state] > most:
                continue
            total, possible = base * scale + box_toll, True
            if tolled or short:
                for line in range(lines):
                    digit = room.digit[state * lines + line]
                    possible &= digit <= room.free[line]
                    total += digit * room.each[line]
            if possible and total < room.price[state]:
                room.price[state], room.way[state] = total, place


@inner
def _split(table: Table, at: int, room: Scratch) -> None:
    """`least` to ship each state in any number of boxes, and the `part` that goes first, the largest of equals.

    f(S) = min over T of price(T) + f(S - T), T with a unit of the first line that S has any of: every plan has one such
    order of its boxes (subset DP over partitions).
    """
    low, lines = table.line_start[at], table.line_start[at + 1] - table.line_start[at]
    price, least = room.price, room.least
    least[0], room.part[0] = 0, 0
    binary, top = table.most[low] == 1, 1
    for state in range(1, table.state_start[at + 1] - table.state_start[at]):
        best, best_part = price[state], state
        if binary:
            if 2 * top <= state:
                top *= 2
            rest = state - top
            some = rest
            while some > 0:
                some = (some - 1) & rest
                value = price[top + some] + least[rest - some]
                if value < best:
                    best, best_part = value, top + some
        else:
            lead = 0
            while room.digit[state * lines + lead] == 0:
                lead += 1
            for line in range(lead, lines):
                room.have[line] = room.take[line] = room.digit[state * lines + line]
            one = state
            while True:
                line = lines - 1
                while line >= lead and room.take[line] == (1 if line == lead else 0):
                    one += (room.have[line] - room.take[line]) * table.radix[low + line]
                    room.take[line] = room.have[line]
                    line -= 1
                if line < lead:
                    break
                room.take[line] -= 1
                one -= table.radix[low + line]
                value = price[one] + least[state - one]
                if value < best:
                    best, best_part = value, one
        least[state], room.part[state] = min(best, FAR), best_part


@inner
def _goal(table: Table, at: int, fullest: bool, units: int, room: Scratch) -> int:
    """The state to ship: the cheapest with what stays paid, among the fullest if that comes first, the lowest of
    equals; -1 if none can be. `units`: only states with so many, -1 for any. Its price is in `total`."""
    first, best, most = table.state_start[at], -1, -1
    for state in range(table.state_start[at + 1] - first):
        if units >= 0 and table.units[first + state] != units:
            continue
        room.total[state] = min(FAR, room.least[state] + room.stay[state])
        if room.total[state] >= FAR:
            continue
        size = table.units[first + state] if fullest else 0
        if size > most or (size == most and room.total[state] < room.total[best]):
            best, most = state, size
    return best


@inner
def _set_stay(table: Table, rates: Rates, at: int, unfilled: int, split: int, room: Scratch) -> int:
    """What each state leaves costs, `stay`, FAR where it must not; shipping nothing does not save the split penalty.
    Returns what filling everything is worth."""
    low, lines = table.line_start[at], table.line_start[at + 1] - table.line_start[at]
    first, worth = table.state_start[at], 0
    if len(rates.fill):
        for line in range(lines):
            worth += table.most[low + line] * rates.fill[table.line[low + line]]
    for state in range(table.state_start[at + 1] - first):
        stay = unfilled * table.left[first + state]
        if state == 0:
            stay += split
        if len(rates.fill):
            for line in range(lines):
                missing = table.most[low + line] - room.digit[state * lines + line]
                if missing and rates.must[table.line[low + line]]:
                    stay = FAR
                    break
                stay += missing * rates.fill[table.line[low + line]]
        room.stay[state] = min(stay, FAR)
    return worth


@inner
def _add_layer(stores: Stores, table: Table, terms: Terms, at: int, layer: int, node: int, room: Scratch) -> None:
    """`least` of the node's own boxes (as `_split` left it) joined with what all layers before can ship.

    Whatever its boxes, a node ships no more than it has; so states beyond that are none of its own.
    """
    low, lines = table.line_start[at], table.line_start[at + 1] - table.line_start[at]
    states = table.state_start[at + 1] - table.state_start[at]
    to, before = layer * states, (layer - 1) * states
    room.layer_part[to : to + states] = room.part[:states]
    room.layer_way[to : to + states] = room.way[:states]
    for state in range(1, states):
        for line in range(lines):
            if room.digit[state * lines + line] > stores.stock[table.item[low + line] * terms.nodes + node]:
                room.least[state] = FAR
    for state in range(states):
        best, taken = room.layer[before + state], 0
        for one in range(1, state + 1):
            if room.least[one] >= FAR:
                continue
            inside = True
            for line in range(lines):
                inside &= room.digit[one * lines + line] <= room.digit[state * lines + line]
            if inside and room.least[one] + room.layer[before + state - one] < best:
                best, taken = room.least[one] + room.layer[before + state - one], one
        room.layer[to + state], room.layer_take[to + state] = min(best, FAR), taken


@inner
def _trace(table: Table, at: int, goal: int, tight: int, room: Scratch) -> int:
    """Write the boxes that ship a state to `option` (places in the table) and `share`; returns how many."""
    count, states = 0, table.state_start[at + 1] - table.state_start[at]
    for layer in range(tight, -1, -1):
        own = room.layer_take[layer * states + goal] if layer else goal
        goal -= own
        while own > 0:
            part = room.layer_part[layer * states + own]
            room.option[count], room.share[count] = room.layer_way[layer * states + part], part
            own -= part
            count += 1
    return count


@inner
def _more_tight(stores: Stores, table: Table, nodes: int, at: int, count: int, tight: int, room: Scratch) -> int:
    """Add nodes of which the boxes written by `_trace` take more goods than there are; how many are tight now."""
    for one in range(count):
        node = table.node[room.option[one]]
        if tight == MOST_TIGHT or _is_tight(room, node, tight):
            continue
        for line in range(table.line_start[at], table.line_start[at + 1]):
            taken = 0
            for two in range(count):
                if table.node[room.option[two]] == node:
                    taken += room.share[two] // table.radix[line] % (table.most[line] + 1)
            if taken > stores.stock[table.item[line] * nodes + node]:
                room.tight[tight] = node
                tight += 1
                break
    return tight


@inner
def _cheapest(
    stores: Stores, table: Table, rates: Rates, terms: Terms, at: int, latest: int, units: int, room: Scratch
) -> tuple[int, int]:
    """(state, boxes) of the best plan of options at most `latest` days late; state -1 if there is none.

    Each box by itself is there; nodes whose goods the boxes compete for get a layer of their own, until none is left.
    """
    states, tight = table.state_start[at + 1] - table.state_start[at], 0
    while True:
        _cheapest_boxes(stores, table, rates, terms, at, latest, tight, -1, room)
        _split(table, at, room)
        if tight:
            room.layer[:states] = room.least[:states]
        room.layer_part[:states], room.layer_way[:states] = room.part[:states], room.way[:states]
        for layer in range(1, tight + 1):
            node = room.tight[layer - 1]
            _cheapest_boxes(stores, table, rates, terms, at, latest, 0, node, room)
            _split(table, at, room)
            _add_layer(stores, table, terms, at, layer, node, room)
        if tight:
            room.least[:states] = room.layer[tight * states : (tight + 1) * states]
        goal = _goal(table, at, terms.fullest, units, room)
        if goal < 0:
            return -1, 0
        count = _trace(table, at, goal, tight, room)
        more = _more_tight(stores, table, terms.nodes, at, count, tight, room) if count > 1 else tight
        if more == tight:
            return goal, count
        tight = more


@inner
def _fits(stores: Stores, table: Table, nodes: int, places: Ints, shares: Ints, begin: int, end: int, at: int) -> bool:
    """Whether the boxes `begin:end` of one order are there together."""
    low, lines = table.line_start[at], table.line_start[at + 1] - table.line_start[at]
    for one in range(begin, end):
        node, bucket, boxes, units = table.node[places[one]], table.bucket[places[one]], 0, 0
        for two in range(begin, end):
            if bucket >= 0 and table.bucket[places[two]] == bucket:
                boxes += 1
                units += table.units[table.state_start[at] + shares[two]]
        if bucket >= 0 and (boxes > stores.parcels[bucket] or units > stores.units[bucket]):
            return False
        for line in range(low, low + lines):
            taken = 0
            for two in range(begin, end):
                if table.node[places[two]] == node:
                    taken += shares[two] // table.radix[line] % (table.most[line] + 1)
            if taken > stores.stock[table.item[line] * nodes + node]:
                return False
    return True


@inner
def _take(stores: Stores, table: Table, nodes: int, places: Ints, shares: Ints, begin: int, end: int, at: int) -> None:
    """Take the boxes of an order from what is there."""
    for one in range(begin, end):
        node, bucket = table.node[places[one]], table.bucket[places[one]]
        if bucket >= 0:
            stores.parcels[bucket] -= 1
            stores.units[bucket] -= table.units[table.state_start[at] + shares[one]]
        for line in range(table.line_start[at], table.line_start[at + 1]):
            digit = shares[one] // table.radix[line] % (table.most[line] + 1)
            stores.stock[table.item[line] * nodes + node] -= digit


@inner
def _answer(
    stores: Stores,
    table: Table,
    rates: Rates,
    terms: Terms,
    at: int,
    slot: int,
    begin: int,
    found: Found,
    below: int,
    room: Scratch,
) -> int:
    """The best plan of one order into `found`, its boxes from `begin` on; returns where they end.

    Lateness is that of the latest box: for every number of days the best plan without later options is looked at, and
    in the end shipping nothing.
    """
    _set_digits(table, at, room)
    worth = _set_stay(table, rates, at, terms.unfilled, terms.split, room)
    found.value[slot], found.state[slot], found.late[slot], found.coupled[slot] = FAR, 0, 0, 0
    latest, units, end = FAR, -1, begin
    while True:
        goal, count = _cheapest(stores, table, rates, terms, at, latest, units, room)
        if goal < 0:
            break
        late = 0
        for one in range(count):
            late = max(late, table.late_days[room.option[one]])
        value = room.total[goal] - terms.split - worth + terms.late * late
        if value < found.value[slot]:
            found.value[slot], found.state[slot], found.late[slot] = value, goal, late
            end = begin
            if value < below:
                end = begin + count
                found.option[begin:end], found.part[begin:end] = room.option[:count], room.share[:count]
        if late == 0 or terms.late == 0:
            break
        if terms.fullest:
            units = table.units[table.state_start[at] + goal]
        latest = -1
        for place in range(table.option_start[at], table.option_start[at + 1]):
            if table.late_days[place] < late:
                latest = max(latest, table.late_days[place])
    if end - begin > 1 and not _fits(stores, table, terms.nodes, found.option, found.part, begin, end, at):
        found.coupled[slot] = 1
    return end


@compiled(INT, STORES, TABLE, RATES, TERMS, FLAG, INTS, INTS, FOUND, INTS, FOUND, SCRATCH)
def plan(
    stores: Stores,
    table: Table,
    rates: Rates,
    terms: Terms,
    in_turn: bool,
    which: Ints,
    below: Ints,
    own: Found,
    again: Ints,
    found: Found,
    room: Scratch,
) -> int:
    """The best plan of each of the orders `which` (places in the table); values of at least `below` without boxes.

    As if alone; or `in_turn`, one after another in place of `stores`: each takes its `own` plan, by place, if that is
    still there, else its best on what is (`again` 1). Returns the turn of the first order whose boxes compete with each
    other, which is not served, or the number of all.
    """
    end = 0
    for slot in range(len(which)):
        at, begin = which[slot], end
        if in_turn and _fits(stores, table, terms.nodes, own.option, own.part, own.start[at], own.start[at + 1], at):
            _take(stores, table, terms.nodes, own.option, own.part, own.start[at], own.start[at + 1], at)
        else:
            end = _answer(stores, table, rates, terms, at, slot, begin, found, below[slot], room)
            again[slot] = 1
            if in_turn and found.coupled[slot]:
                again[slot] = 0
                return slot
            if in_turn:
                _take(stores, table, terms.nodes, found.option, found.part, begin, end, at)
        found.start[slot + 1] = end
    return len(which)


@compiled(INT, TABLE, INTS, FOUND, INTS, INTS, INTS, INTS, INTS)
def flatten(
    table: Table, which: Ints, found: Found, owner: Ints, option: Ints, of: Ints, row: Ints, units: Ints
) -> int:
    """The boxes of the answers as shipments, ascending by option within an order: `owner` (slot) and `option` of each;
    `units` of `row` leave in shipment `of`, rows ascending. Returns how many of the latter."""
    count = 0
    for slot in range(len(which)):
        at, begin, end = which[slot], found.start[slot], found.start[slot + 1]
        for one in range(begin + 1, end):
            two = one
            while two > begin and (found.option[two - 1], -found.part[two - 1]) > (found.option[two], -found.part[two]):
                found.option[two - 1], found.option[two] = found.option[two], found.option[two - 1]
                found.part[two - 1], found.part[two] = found.part[two], found.part[two - 1]
                two -= 1
        for one in range(begin, end):
            owner[one], option[one] = slot, table.option[found.option[one]]
            first = count
            for line in range(table.line_start[at], table.line_start[at + 1]):
                digit = found.part[one] // table.radix[line] % (table.most[line] + 1)
                if not digit:
                    continue
                place = count
                while place > first and row[place - 1] > table.line[line]:
                    row[place], units[place] = row[place - 1], units[place - 1]
                    place -= 1
                row[place], units[place] = table.line[line], digit
                of[count] = one
                count += 1
    return count
