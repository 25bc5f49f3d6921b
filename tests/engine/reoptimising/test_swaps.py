"""Which orders move: parts that hold by themselves and save enough, whatever is drawn."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.ledger.port import LOAD, DayLoad, OrderRecord, Snapshot, Versions
from engine.reoptimising.swaps import PART_ORDERS, Move, Place, parts_of, room_of
from tests.engine.making import compiled, document, node, row

DAY = 20_780


def cell(node: int, sku: str = "A") -> Place:
    return "units", sku, node


def move(place: int, saving: int, before: dict[Place, int], after: dict[Place, int]) -> Move:
    """An order that holds `before` and would hold `after`."""
    change = {at: after.get(at, 0) - before.get(at, 0) for at in sorted(before.keys() | after.keys(), key=repr)}
    return Move(place, saving, {at: more for at, more in change.items() if more}, after)


def places(parts: list[list[Move]]) -> list[list[int]]:
    return [[each.place for each in part] for part in parts]


def test_an_order_moves_alone():
    """Protects the simple case: there is room, it saves enough, it goes."""
    there = move(0, 700, {cell(0): 1}, {cell(1): 1})
    assert places(parts_of([there], {cell(0): 0, cell(1): 1}, 500)) == [[0]]
    assert parts_of([there], {cell(0): 0, cell(1): 1}, 701) == []
    assert parts_of([there], {cell(0): 0, cell(1): 0}, 0) == []


def test_one_makes_room_for_another():
    """Protects joint savings: an order that pays for its move goes with the one that gains by it, or both stay."""
    makes_room = move(0, -300, {cell(0): 1}, {cell(1): 1})
    gains = move(1, 1_400, {cell(2): 1}, {cell(0): 1})
    room = {cell(0): 0, cell(1): 1, cell(2): 0}
    assert places(parts_of([makes_room, gains], room, 500)) == [[0, 1]]
    assert parts_of([makes_room, gains], room, 551) == [], "1,100 over two orders"


def test_who_saves_nothing_stays():
    """Protects calm: an order that a solver put elsewhere for nothing stays, if nobody needs its place."""
    idle = move(0, 0, {cell(0): 1}, {cell(1): 1})
    gains = move(1, 900, {cell(2): 1}, {cell(3): 1})
    room = {cell(n): 1 for n in range(4)}
    assert places(parts_of([idle, gains], room, 0)) == [[1]]


def test_plenty_joins_nobody():
    """Protects small parts: orders that share only what there is plenty of move each by itself."""
    moves = [move(k, 900, {cell(0): 1}, {cell(1): 1}) for k in range(3)]
    assert places(parts_of(moves, {cell(0): 0, cell(1): 3}, 500)) == [[0], [1], [2]]


def test_one_that_stays_stops_only_its_part():
    """Protects the rest: where a plan counted on the place of one that cannot move, others still go by themselves."""
    needs_it = move(0, 900, {cell(0): 1}, {cell(9): 1})
    by_itself = move(1, 800, {cell(0): 1}, {cell(1): 1})
    room = {cell(0): 0, cell(1): 1, cell(9): 0}
    assert places(parts_of([needs_it, by_itself], room, 500)) == [[1]]


def test_large_parts_are_taken_apart():
    """Protects the store: no step moves more orders than fit a short script."""
    moves = [move(k, 900, {cell(k): 1}, {cell(k + 1): 1}) for k in range(PART_ORDERS + 1)]
    parts = parts_of(moves, {cell(PART_ORDERS + 1): 1} | {cell(k): 0 for k in range(PART_ORDERS + 1)}, 0)
    assert max(map(len, parts)) == 1
    assert places(parts)[0] == [PART_ORDERS]


def test_room_is_what_is_free_while_all_stay():
    """Protects nodes: floors, blocks, the holds of others and of those who stay count, and so do a day's limits."""
    limits = {"parcels_per_day": 9, "units_per_day": 20}
    network = compiled(document([node("N1", safety_units=2, capacity=limits), node("N2")]))
    near, far = network.numbers["N1"], network.numbers["N2"]
    stock = {"N1": {"on_hand": 10, "held": 1, "blocked": 3}, "N2": {"on_hand": 5, "safety": 1}}
    load = np.zeros(far + 1, LOAD)
    load[near] = (4, 6)
    rows = (row(network, stock), row(network, stock))
    snapshot = Snapshot(0, Versions(7, 1, 1), rows, {DAY: DayLoad(1, load), DAY + 1: DayLoad(1, load[:0])}, {})
    stays = OrderRecord("O", b"", b"", b"", "allocated", (), (("A", near, 3),), ((DAY, near, 1, 3),))
    room = {
        ("units", "A", near): 10 - 1 - 3 - 2 - 3,
        ("units", "A", far): 5 - 1,
        ("parcels", DAY, near): 9 - 4 - 1,
        ("load", DAY, near): 20 - 6 - 3,
        ("parcels", DAY + 1, near): 9,
    }
    unlimited: list[Place] = [
        ("parcels", DAY, far),
        ("load", DAY + 1, far),
        ("units", "A", 60_000),
        ("load", DAY + 9, near),
    ]
    goes = move(0, 900, {cell(near): 1}, dict.fromkeys([*room, *unlimited], 1))
    assert room_of([goes], [stays], ("A", "B"), snapshot, network) == room, "of B nobody asks"
    assert room_of([], [stays], ("A", "B"), snapshot, network) == {}


amounts = st.dictionaries(st.sampled_from([cell(n) for n in range(4)]), st.integers(1, 2), max_size=2)
drawn_moves = st.lists(st.tuples(st.integers(-900, 1_500), amounts, amounts), max_size=8)


@given(drawn_moves, st.lists(st.integers(-1, 3), min_size=4, max_size=4), st.integers(0, 600))
def test_parts_always_hold(drawn, levels, min_saving):
    """Protects the ledger and the promise: done one after the other no part lacks anything, and each saves enough."""
    room = {cell(n): level for n, level in enumerate(levels)}
    moves = [move(k, *each) for k, each in enumerate(drawn)]
    parts = parts_of(moves, room, min_saving)
    moved = [each.place for part in parts for each in part]
    assert len(set(moved)) == len(moved)
    for part in parts:
        assert sum(each.saving for each in part) >= max(1, min_saving * len(part))
        for each in part:
            for at, more in each.change.items():
                room[at] -= more
        assert all(room[at] >= 0 for each in part for at in each.takes)
    assert parts == parts_of(moves, {cell(n): level for n, level in enumerate(levels)}, min_saving)
