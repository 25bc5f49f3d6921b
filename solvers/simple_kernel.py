"""The inner loops of `simple` over many orders: each as if alone, or one after another, and their boxes flat.

`simple_kernel_tables` has what they read and write, `simple_kernel_prices` makes the table, `simple_kernel_splits`
decides one order.
"""

from __future__ import annotations

from solvers.compiled import FLAG, INT, INTS, compiled, inner
from solvers.problem import Ints
from solvers.simple_kernel_prices import set_digits
from solvers.simple_kernel_splits import cheapest, set_stay
from solvers.simple_kernel_tables import (
    FAR,
    FOUND,
    RATES,
    SCRATCH,
    STORES,
    TABLE,
    TERMS,
    Found,
    Rates,
    Scratch,
    Stores,
    Table,
    Terms,
)


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
    set_digits(table, at, room)
    worth = set_stay(table, rates, at, terms.unfilled, terms.split, room)
    found.value[slot], found.state[slot], found.late[slot], found.coupled[slot] = FAR, 0, 0, 0
    latest, units, end = FAR, -1, begin
    while True:
        goal, count = cheapest(stores, table, rates, terms, at, latest, units, room)
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
