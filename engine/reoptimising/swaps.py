"""Which orders move: those whose new plans save enough, in parts that each hold by themselves. Pure.

An order's *change* is what its new plan takes more or less than its present one, by cell and day. While all stay there
is *room* for more; orders hang together where they need more of something than there is room for, so that one must
leave for another to come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.ledger.port import DayLoad, OrderRecord, Proposal, Row, Snapshot
from engine.network import Network

PART_ORDERS = 100
"""The most orders that move in one step: some milliseconds of the store's."""

Place = tuple[str, str | int, int]
"""A cell ("units", SKU, node number), or the room of a day ("parcels" or "load", day, node number)."""
Amounts = dict[Place, int]


@dataclass(frozen=True, slots=True)
class Move:
    """An order that may move: `place` in the window, what it saves in mills, its change and all that it then takes."""

    place: int
    saving: int
    change: Amounts
    takes: Amounts


def moves_of(
    records: Sequence[OrderRecord], proposals: Sequence[Proposal], savings: Sequence[int | None], skus: Sequence[str]
) -> list[Move]:
    """The orders that would ship otherwise; those without a saving to tell (None) stay."""
    found = []
    for k, (record, proposal, saving) in enumerate(zip(records, proposals, savings, strict=True)):
        before, after = _held(record), _wanted(proposal, skus)
        change = {at: after.get(at, 0) - before.get(at, 0) for at in before.keys() | after.keys()}
        change = {at: change[at] for at in sorted(change, key=repr) if change[at]}
        if saving is not None and (change or saving > 0):  # without a change: by another service of the same node
            found.append(Move(k, saving, change, after))
    return found


def room_of(
    moves: Sequence[Move],
    records: Sequence[OrderRecord],
    skus: Sequence[str],
    snapshot: Snapshot,
    network: Network,
) -> dict[Place, int]:
    """What is free while all orders stay, where the moves take or leave anything limited.

    The snapshot counts what all these orders hold as free. Only the places of the moves are looked up: a window has as
    many cells as SKUs times nodes, and this runs on the event loop.
    """
    places = dict.fromkeys(at for move in moves for at in (*move.takes, *move.change))
    if not places:
        return {}
    rows = dict(zip(skus, snapshot.rows, strict=True))
    nodes = {number: node for node, number in enumerate(network.number_of.tolist())}
    room: dict[Place, int] = {}
    for kind, name, number in places:
        node = nodes.get(number)
        if isinstance(name, str):
            free = _free(rows[name], number, 0 if node is None else int(network.safety[node]))
        else:
            free = None if node is None else _left(kind, snapshot.days.get(name), number, node, network)
        if free is not None:
            room[kind, name, number] = free
    for record in records:
        for at, amount in _held(record).items():
            if at in room:
                room[at] -= amount
    return room


def _free(row: Row, number: int, floor: int) -> int | None:
    """Units free in a node's cell of a row; None: it was never stocked there."""
    for slot in np.flatnonzero(row.slots["node"] == number):
        _, on_hand, held, safety, blocked = row.slots[slot].tolist()
        return int(on_hand - held - blocked - (floor if safety < 0 else safety))
    return None


def _left(kind: str, load: DayLoad | None, number: int, node: int, network: Network) -> int | None:
    """Room left at a node on a day; None: not limited."""
    most = int((network.parcels_max if kind == "parcels" else network.units_max)[node])
    if load is None or most < 0:
        return None
    parcels, units = load.nodes[number].tolist() if number < len(load.nodes) else (0, 0)
    return most - int(parcels if kind == "parcels" else units)


def parts_of(moves: Sequence[Move], room: Mapping[Place, int], min_saving: int) -> list[list[Move]]:
    """The parts to swap, in order: each saves at least `min_saving` an order, and holds once those before it are done.

    Who saves too little stays where he is, unless another needs his place. Where a part as a whole does not do, those
    of it move that can by themselves, the greatest saving first.
    """
    free = dict(room)
    going = _worthwhile(list(moves), free, min_saving)
    parts: list[list[Move]] = []
    for part in _components(going, free):
        saving, orders = sum(move.saving for move in part), len(part)
        if orders <= PART_ORDERS and 0 < saving >= min_saving * orders and _fits(part, free):
            parts.append(part)
            _apply(part, free)
        elif orders > 1:
            for move in sorted(part, key=lambda each: (-each.saving, each.place)):
                if 0 < move.saving >= min_saving and _fits([move], free):
                    parts.append([move])
                    _apply([move], free)
    return parts


def _worthwhile(moves: list[Move], room: Mapping[Place, int], min_saving: int) -> list[Move]:
    """Without those who save too little and whose place nobody needs."""
    going = {move.place: move for move in moves}
    total = _sum(moves)
    left = sorted(
        (move for move in moves if move.saving < max(1, min_saving)), key=lambda each: (each.saving, each.place)
    )
    while True:
        stayed = False
        for move in list(left):
            if all(total[at] - more <= room.get(at, total[at] - more) for at, more in move.change.items() if more < 0):
                for at, more in move.change.items():
                    total[at] -= more
                left.remove(move)
                del going[move.place]
                stayed = True
        if not stayed:
            return list(going.values())


def _components(moves: Sequence[Move], room: Mapping[Place, int]) -> list[list[Move]]:
    """The moves that hang together, each set in order of its first."""
    wanted: Amounts = {}
    for move in moves:
        for at, more in move.change.items():
            wanted[at] = wanted.get(at, 0) + max(0, more)
    tight = {at for at, more in wanted.items() if more > room.get(at, more)}
    root = {move.place: move.place for move in moves}

    def found(place: int) -> int:
        while root[place] != place:
            root[place] = root[root[place]]
            place = root[place]
        return place

    first: dict[Place, int] = {}
    for move in moves:
        for at in move.change.keys() & tight:
            root[found(move.place)] = found(first.setdefault(at, move.place))
    parts: dict[int, list[Move]] = {}
    for move in moves:
        parts.setdefault(found(move.place), []).append(move)
    return list(parts.values())


def _fits(part: Sequence[Move], room: Mapping[Place, int]) -> bool:
    """Whether all that these orders then take is there."""
    total = _sum(part)
    touched = {at for move in part for at in move.takes}
    return all(total.get(at, 0) <= room[at] for at in touched if at in room)


def _apply(part: Sequence[Move], room: dict[Place, int]) -> None:
    for at, more in _sum(part).items():
        if at in room:
            room[at] -= more


def _sum(moves: Iterable[Move]) -> Amounts:
    total: Amounts = {}
    for move in moves:
        for at, more in move.change.items():
            total[at] = total.get(at, 0) + more
    return total


def _held(record: OrderRecord) -> Amounts:
    return _amounts(record.takes, record.loads)


def _wanted(proposal: Proposal, skus: Sequence[str]) -> Amounts:
    takes = ((skus[take.sku], take.node, take.units) for take in proposal.takes)
    return _amounts(takes, ((load.day, load.node, load.parcels, load.units) for load in proposal.loads))


def _amounts(takes: Iterable[tuple[str, int, int]], loads: Iterable[tuple[int, int, int, int]]) -> Amounts:
    found: Amounts = {}
    for sku, node, units in takes:
        found["units", sku, node] = found.get(("units", sku, node), 0) + units
    for day, node, parcels, units in loads:
        found["parcels", day, node] = found.get(("parcels", day, node), 0) + parcels
        found["load", day, node] = found.get(("load", day, node), 0) + units
    return found
