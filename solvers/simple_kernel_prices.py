"""The inner loops of `simple` that make the table: which orders are simple, and what every shipment of them costs."""

from __future__ import annotations

import numpy as np

from solvers.compiled import INT, INTS, NONE, compiled, inner
from solvers.problem import Ints
from solvers.simple_kernel_tables import (
    BEYOND,
    FAR,
    LARGE,
    SCRATCH,
    SIZES,
    STORES,
    TABLE,
    WANTED,
    WAYS,
    Scratch,
    Sizes,
    Stores,
    Table,
    Wanted,
    Ways,
)


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


@inner
def set_digits(table: Table, at: int, room: Scratch) -> None:
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
    set_digits(table, at, room)
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
