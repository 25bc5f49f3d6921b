"""The memory ledger's holds: giving back, lapsing by the clock, and commands on one order."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from math import inf

from engine.ledger import layout, states
from engine.ledger.journal import Body
from engine.ledger.memory_backlog import enlist, put_waited
from engine.ledger.memory_state import Day, Kept, Partition
from engine.ledger.port import Answer, Change, Commanded

Amounts = dict[tuple[str, int], tuple[int, int]]
"""(units, parcels) by field and place: of a SKU and slot, or of a day and node."""


def amounts_of(takes: Iterable[tuple[str, int, int, int]], loads: Iterable[tuple[int, int, int, int]]) -> Amounts:
    """What an order holds, added up."""
    found: Amounts = {}
    for sku, slot, _, units in takes:
        found[f"s{sku}", slot] = found.get((f"s{sku}", slot), (0, 0))[0] + units, 0
    for day, node, parcels, units in loads:
        before = found.get((f"d{day}", node), (0, 0))
        found[f"d{day}", node] = before[0] + units, before[1] + parcels
    return found


def names_of(places: Iterable[tuple[str, int]]) -> list[str]:
    """The fields of places."""
    return list(dict.fromkeys(name for name, _ in places))


def soften(partition: Partition, amounts: Amounts, deadline: int, sign: int) -> None:
    """Change the soft units of a deadline."""
    for (name, place), (units, parcels) in amounts.items():
        places = partition.soft.setdefault(name, {}).setdefault(deadline, {})
        before = places.get(place, (0, 0))
        places[place] = before[0] + sign * units, before[1] + sign * parcels
        if places[place] == (0, 0):
            del places[place]
    for name in names_of(amounts):
        if not partition.soft[name][deadline]:
            forget(partition, name, deadline)


def forget(partition: Partition, name: str, deadline: int) -> None:
    """No soft units of this deadline are left."""
    del partition.soft[name][deadline]
    if not partition.soft[name]:
        del partition.soft[name]


def give_back(partition: Partition, amounts: Amounts, body: Body, *, gain_by_units: bool = False) -> None:
    """Take units and load out of rows and days. A row or day that becomes freer gains: by 1, or by the units."""
    index: dict[str, int] = {}
    freed: dict[str, int] = {}
    for (name, place), (units, parcels) in amounts.items():
        if name[0] == "s" and units:
            cell = partition.rows[name[1:]].cell(place)
            assert cell is not None, "a cell that was taken from is there"
            assert cell[2] >= units, "what is freed was held"
            node, on_hand, held, safety, blocked = cell
            partition.put_cell(name[1:], place, (node, on_hand, held - units, safety, blocked))
            row = index.setdefault(name[1:], len(index))
            body.cells += (row, place, node, on_hand, held - units, safety, blocked, 0, -units, 0, 0)
        elif units or parcels:
            day = partition.days.setdefault(int(name[1:]), Day())
            before = day.load(place)
            day.put(place, before[0] - parcels, before[1] - units)
            body.loads += (int(name[1:]), place, before[0] - parcels, before[1] - units, -parcels, -units)
        if units or parcels:
            freed[name] = freed.get(name, 0) + units + parcels
    for name, units in freed.items():
        if name[0] == "s":
            partition.rows[name[1:]].gained(units if gain_by_units else 1)
        else:
            partition.days[int(name[1:])].gained(units if gain_by_units else 1)
            body.days += (int(name[1:]), partition.days[int(name[1:])].gain)
    for sku in index:
        body.rows += (sku, partition.rows[sku].gain)


def free(
    partition: Partition,
    members: Iterable[tuple[str, int]],
    now_ms: int,
    limit: float = inf,
    wanted: Container[tuple[str, int]] | None = None,
) -> int:
    """Take the units of fields and their deadlines out of rows and days: those of the `wanted` places, or all.

    Stops at the deadline that makes it `limit` places; returns how many.
    """
    body, amounts, count = Body(), Amounts(), 0
    for name, deadline in members:
        if count >= limit:
            break
        places = partition.soft[name][deadline]
        going = [place for place in places if wanted is None or (name, place) in wanted]
        for place in going:
            units, parcels = places.pop(place)
            before = amounts.get((name, place), (0, 0))
            amounts[name, place] = before[0] + units, before[1] + parcels
        count += len(going)
        if not places:
            forget(partition, name, deadline)
    if count:
        give_back(partition, amounts, body, gain_by_units=True)
        partition.append(now_ms, "free", body, ())
    return count


def sweep(partition: Partition, now_ms: int) -> int:
    """One step of the sweeper: units first, and orders once all units that lapsed before are free."""
    due = partition.lapsed(partition.soft, now_ms)
    if due:
        return free(partition, due, now_ms, layout.SWEEP_PLACES)
    lapsed = sorted((deadline, order_id) for order_id, deadline in partition.holds.items() if deadline <= now_ms)
    ids = [order_id for _, order_id in lapsed[: layout.SWEEP_ORDERS]]
    if ids:
        lapse(partition, ids, now_ms)
    return len(ids)


def lapse(partition: Partition, ids: Sequence[str], now_ms: int) -> None:
    """Write down that these holds have lapsed; their units are free already."""
    at_ms = partition.append(
        now_ms, states.LAPSE, Body(), tuple(part for order_id in ids for part in (order_id.encode(), b""))
    )
    for order_id in ids:
        order = partition.orders[order_id]
        order.state, order.takes, order.loads = states.LAPSED, (), ()
        order.revision += 1
        order.history.append(Change(at_ms, "order.lapsed"))
        partition.keep(order_id, order)


def settle(partition: Partition, order_id: str, now_ms: int) -> None:
    """Free what a lapsed hold held, and write it down."""
    order = partition.orders[order_id]
    amounts = amounts_of(order.takes, order.loads)
    members = [(name, order.deadline) for name in names_of(amounts) if order.deadline in partition.soft.get(name, {})]
    free(partition, members, now_ms, wanted=amounts)
    lapse(partition, [order_id], now_ms)


def command(partition: Partition, order_id: str, name: str, command_id: str, now_ms: int) -> Commanded:
    """As `Ledger.command`."""
    order = partition.orders.get(order_id)
    if order is None:
        return Commanded(Answer.UNKNOWN, states.NEW)
    if command_id and command_id in order.commands:
        of, state = order.commands[command_id]
        return Commanded(Answer.ALREADY, state.decode()) if of == name else Commanded(Answer.OTHER, "")
    before = order.judged(now_ms)
    target = states.TABLE.get((before, name))
    if target is None:
        return Commanded(Answer.REFUSED, before)
    if target == states.SAME:
        return Commanded(Answer.ALREADY, before)
    if before != order.state:
        settle(partition, order_id, now_ms)
    target = order.firm if target == states.FIRM else target
    body = Body(state=target, revision=order.revision + 1)
    amounts = amounts_of(order.takes, order.loads)
    if name in (states.RELEASE, states.CANCEL):
        give_back(partition, amounts, body)
    if order.state == states.HELD:
        soften(partition, amounts, order.deadline, -1)
    waited: dict[str, int] = {}
    enlist(partition, order_id, order, -1, waited)
    _become(partition, order_id, order, target, name)
    enlist(partition, order_id, order, 1, waited)
    put_waited(partition, waited, body)
    at_ms = partition.append(now_ms, name, body, (order_id.encode(), command_id.encode()))
    order.history.append(Change(at_ms, "order." + states.PAST[name]))
    if command_id:
        order.commands[command_id] = name, target.encode()
    return Commanded(Answer.DONE, target)


def _become(partition: Partition, order_id: str, order: Kept, state: str, name: str) -> None:
    if name in (states.RELEASE, states.CANCEL):
        order.takes, order.loads, order.waits = (), (), ()
    order.state, order.deadline = state, 0
    order.revision += 1
    partition.keep(order_id, order)
