"""The inner loops of `simple` that split one order: the subset DP, and nodes whose goods its boxes compete for."""

from __future__ import annotations

from solvers.compiled import inner
from solvers.simple_kernel_tables import FAR, MOST_TIGHT, Rates, Scratch, Stores, Table, Terms


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
def set_stay(table: Table, rates: Rates, at: int, unfilled: int, split: int, room: Scratch) -> int:
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
def cheapest(
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
