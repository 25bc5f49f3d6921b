"""The subset DP on a menu: the best state and plan of every order, its limits, lateness and each node's limits kept.

The plain DP answers a batch in one pass, those with too many boxes in another that counts them, those that are late in
another per lateness; only orders whose plan overdraws a node are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from solvers import coupled
from solvers.coupled import MAX_LAYERS, Piece
from solvers.layers import Layers, by_boxes
from solvers.menu import Menu, spans
from solvers.problem import UNLIMITED, Ints
from solvers.runs import heads
from solvers.solution import Shipment
from solvers.states import FAR, cheapest, trace


class Found(NamedTuple):
    """The cheapest answer for one order of a menu: its shipments' prices, what staying units cost, and lateness.

    `value` is FAR and nothing ships where no allowed state can be reached. `careful`: layers of the looks of its own.
    """

    value: int
    state: int
    pieces: list[Piece]
    careful: int = 0


def as_plan(menu: Menu, column: int, pieces: list[Piece]) -> tuple[Shipment, ...]:
    """The shipments of an answer, ascending by option. Rows are those of the whole menu."""
    return as_plans(menu, [column], [pieces])[0]


def as_plans(menu: Menu, columns: Sequence[int], answers: Sequence[list[Piece]]) -> list[tuple[Shipment, ...]]:
    """`as_plan` for many answers at once."""
    sizes = [len(pieces) for pieces in answers]
    flat = np.array([piece for pieces in answers for piece in pieces], np.int64).reshape(-1, 2)
    column = np.repeat(np.array(columns, np.int64), sizes)
    answer_of = np.repeat(np.arange(len(answers)), sizes)
    option = menu.rows[flat[:, 0]]
    rank = np.lexsort((-flat[:, 1], option, answer_of))
    column, option, state = column[rank], option[rank], flat[rank, 1]
    start, order = menu.problem.lines.start, menu.orders[column]
    end = np.cumsum(start[order + 1] - start[order])
    first = end - (start[order + 1] - start[order])
    units = np.zeros(int(end[-1]) if len(end) else 0, np.int64)
    units[(first - start[order])[:, None] + menu.lines[column]] = menu.vector[state]
    shipments = [
        Shipment(by, units[low:high])
        for by, low, high in zip(option.tolist(), first.tolist(), end.tolist(), strict=True)
    ]
    edge = np.cumsum([0, *sizes]).tolist()
    return [tuple(shipments[low:high]) for low, high in pairwise(edge)]


def best_alone(menu: Menu) -> list[Found]:
    """The answer of every order at the menu's own prices, under the window's objective."""
    objective = menu.problem.objective
    stay = menu.staying(objective.unfilled_per_unit)
    return answer(menu, menu.price, stay, objective.late_per_day, fullest=objective.fill_always)


def answer(
    menu: Menu, price: Ints, stay: Ints, late_price: int, *, fullest: bool = False, below: Ints | None = None
) -> list[Found]:
    """The best state and plan of every order of the menu.

    price int64[M, R]: of each shipment, FAR where impossible (the menu's own, or with tolls added). stay int64[M, G]:
    what it costs to ship only that state, FAR where not allowed. `fullest`: as many units as can be, then cheapest.
    `below` int64[G]: orders of at least this value are of no interest: their value is a lower bound, without pieces.
    """
    columns = np.arange(len(menu.orders))
    part = np.minimum.reduceat(price, menu.start, axis=1)
    several = menu.keeps.several
    among = part if several is None else np.where(several, part, FAR)
    shared = cheapest(menu.states, among)
    least = shared if several is None else np.minimum(shared, part)
    state, value = _chosen(menu, least + stay, fullest)
    reached = value < FAR
    if below is not None:
        value = np.minimum(value, FAR)
        reached &= value < below
    whole = (part[state, columns] == least[state, columns]) & (state > 0) & reached
    split = np.flatnonzero(reached & (state > 0) & ~whole)
    owner, parts = trace(menu.states, among, shared, split, state[split])
    owner, parts = np.concatenate([np.flatnonzero(whole), owner]), np.concatenate([state[whole], parts])
    rows = _cheapest_rows(menu, price, owner, parts)
    pieces: list[list[Piece]] = [[] for _ in columns]
    for column, row, shipped in zip(owner.tolist(), rows.tolist(), parts.tolist(), strict=True):
        pieces[column].append((row, shipped))
    answers = [
        Found(worth, chosen, some) if worth < FAR else Found(FAR, 0, [])
        for worth, chosen, some in zip(value.tolist(), state.tolist(), pieces, strict=True)
    ]
    if (menu.keeps.parcels <= MAX_LAYERS).any():
        answers = _in_fewer_boxes(menu, price, stay, answers, fullest=fullest)
    for column in _coupled(menu, answers):
        over = coupled.overdrawn(menu.one(column), _local(menu, column, answers[column].pieces))
        if over:
            answers[column] = _careful(menu, column, price, stay[:, column], tuple(over), fullest=fullest)
    return _less_late(menu, price, stay, late_price, answers, fullest=fullest) if late_price else answers


def _cheapest_rows(menu: Menu, price: Ints, owner: Ints, parts: Ints) -> Ints:
    """int64[n]: the first row of order `owner` that ships state `parts` cheapest, for n of both."""
    if not len(owner):
        return owner
    edge = np.append(menu.start, len(menu.rows))
    row, at = spans(edge, owner)
    offered = price[parts[at], row]
    first = heads(at)
    best = np.minimum.reduceat(offered, first)
    found: Ints = np.minimum.reduceat(np.where(offered == best[at], row, len(menu.rows)), first)
    return found


def _coupled(menu: Menu, answers: list[Found]) -> list[int]:
    """Orders whose shipments may compete: for a node's goods and room, or for those of another node of the dock."""
    several = [column for column, one in enumerate(answers) if len(one.pieces) > 1]
    if menu.origin.places or not several:
        return several
    node = menu.node
    # Every shipment by itself fits, and buckets belong to one node.
    at = [node[[row for row, _ in answers[column].pieces]].tolist() for column in several]
    return [column for column, nodes in zip(several, at, strict=True) if len(set(nodes)) < len(nodes)]


def _chosen(menu: Menu, total: Ints, fullest: bool) -> tuple[Ints, Ints]:
    """(state, value) int64[G] each: the cheapest of total int64[M, G], among the fullest if that comes first."""
    if fullest:
        most = np.where(total < FAR, menu.units[:, None], -1).max(axis=0)
        total = np.where(menu.units[:, None] == most, total, FAR)
    state = np.argmin(total, axis=0)
    return state, total[state, np.arange(total.shape[1])]


def _some(menu: Menu, price: Ints, columns: Ints) -> tuple[Menu, Ints, list[int]]:
    """The menu and prices of some of the orders, and the row in the whole menu of each of theirs."""
    back = np.flatnonzero(np.isin(menu.owner, columns))
    return menu.only(columns), price[:, back], back.tolist()


def _in_fewer_boxes(menu: Menu, price: Ints, stay: Ints, found: list[Found], *, fullest: bool) -> list[Found]:
    """The answers with those that need more boxes than their order may have replaced: the DP that counts boxes."""
    parcels = menu.keeps.parcels.tolist()
    over = [
        column
        for column, one in enumerate(found)
        if parcels[column] <= MAX_LAYERS and sum(int(menu.boxes[s, row]) for row, s in one.pieces) > parcels[column]
    ]
    if not over:
        return found
    columns, best = np.array(over, np.int64), list(found)
    some, kept, back = _some(menu, price, columns)
    room, several = max(parcels[column] for column in over), some.keeps.several
    single = by_boxes(kept, some.boxes, some.start, room)
    among = single if several is None else {n: np.where(several, part, FAR) for n, part in single.items()}
    layers = Layers(some.states, among, room, len(over))
    for at, column in enumerate(over):
        alone = {n: part[:, at] for n, part in single.items() if n <= parcels[column]}
        least = np.minimum.reduce([layers.least[parcels[column]][:, at], *alone.values()])
        state, value = _chosen(menu, (least + stay[:, column])[:, None], fullest)
        goal = int(state[0])
        if value[0] >= FAR:
            best[column] = Found(FAR, 0, [])
            continue
        one = next((n for n, part in alone.items() if part[goal] == least[goal]), 0) if goal else 0
        parts = [(goal, one)] if one else layers.trace(parcels[column], goal, at)
        rows = some.rows_of(at)
        pieces = []
        for part, boxes in parts:
            row = int(np.argmin(np.where(some.boxes[part, rows] == boxes, kept[part, rows], FAR)))
            pieces.append((back[rows.start + row], part))
        best[column] = Found(int(value[0]), goal, pieces)
    return best


def _less_late(
    menu: Menu, price: Ints, stay: Ints, late_price: int, found: list[Found], *, fullest: bool
) -> list[Found]:
    """The answers with lateness paid: those that are late against the best with at most so many days, all at once.

    The latest parcel decides, so `limit` days are allowed and those that come about are paid for.
    """
    late = menu.late
    days = np.array([max((int(late[row]) for row, _ in one.pieces), default=0) for one in found], np.int64)
    floor = [one.value for one in found]
    best = [one._replace(value=one.value + late_price * int(d)) for one, d in zip(found, days, strict=True)]
    for limit in np.unique(np.append(late[late < days.max(initial=0)], 0)).tolist() if days.any() else []:
        which = [
            column
            for column, one in enumerate(best)
            if limit < days[column] and floor[column] + late_price * limit < one.value
        ]
        if not which:
            continue
        columns = np.array(which, np.int64)
        some, kept, back = _some(menu, price, columns)
        staying = stay[:, columns]
        if fullest:
            filled = menu.units[[found[column].state for column in which]]
            staying = np.where(menu.units[:, None] == filled, staying, FAR)
        others = answer(some, np.where(some.late <= limit, kept, FAR), staying, 0)
        for column, one in zip(which, others, strict=True):
            real = max((int(some.late[row]) for row, _ in one.pieces), default=0)
            if one.value < FAR and one.value + late_price * real < best[column].value:
                pieces = [(back[row], state) for row, state in one.pieces]
                best[column] = one._replace(value=one.value + late_price * real, pieces=pieces)
    return best


def _local(menu: Menu, column: int, pieces: list[Piece]) -> list[Piece]:
    first = int(menu.start[column])
    return [(row - first, state) for row, state in pieces]


def _careful(menu: Menu, column: int, price: Ints, stay: Ints, tight: tuple[int, ...], *, fullest: bool) -> Found:
    """One order for which the `tight` nodes are short: limits kept inside."""
    one, at = menu.one(column), menu.rows_of(column)
    best = within_limits(one, price[:, at], stay, tight, fullest=fullest)
    shifted = [(row + at.start, state) for row, state in best.pieces]
    return best._replace(pieces=shifted)


def within_limits(one: Menu, price: Ints, stay: Ints, tight: tuple[int, ...], *, fullest: bool) -> Found:
    """The best answer of a one-order menu; value FAR if there is none."""
    parcels = int(one.keeps.parcels[0])
    if parcels >= min(MAX_LAYERS, coupled.most_boxes(one, price, np.arange(len(one.rows)))):
        parcels = UNLIMITED
    several = one.keeps.several
    among = price if several is None else np.where(several, price, FAR)
    single = np.where(one.boxes <= parcels, price, FAR)
    looks = 0
    while True:
        table = coupled.table(one, among, tight, parcels)
        looks += len(table.least)
        least = table.least[-1] if several is None else np.minimum(table.least[-1], single.min(axis=1))
        chosen, value = _chosen(one, (least + stay)[:, None], fullest)
        state = int(chosen[0])
        if value[0] >= FAR:
            return Found(FAR, 0, [], looks)
        if several is not None and state and int(single[state].min()) == least[state]:
            return Found(int(value[0]), state, [(int(np.argmin(single[state])), state)], looks)
        pieces = table.pieces(len(table.least) - 1, state)
        over = [node for node in coupled.overdrawn(one, pieces) if node not in tight]
        if not over:
            return Found(int(value[0]), state, pieces, looks)
        tight = tuple(sorted({*tight, *over}))
