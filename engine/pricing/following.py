"""Price sheets between two programmes: moved by what was taken, and averaged with what new futures say.

A sheet of a large merchant has a hundred thousand cells and is followed every few seconds, so cells are numbers here:
place of the SKU times nodes, plus place of the node, both by name.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from itertools import pairwise, repeat

import msgspec
import numpy as np

from engine.ledger.port import SLOT, Snapshot
from engine.pricing.descent import STEP, Floats, Ints, gentle, renewed, stepped
from engine.pricing.observed import Observed
from engine.pricing.sheet import Keep, PriceSheet
from engine.recording import joined_slots
from engine.registry import Books
from solvers.problem import DEAREST


class _Cells:
    """Cells by number, of some SKUs and nodes."""

    def __init__(self, skus: Sequence[str], node_ids: Sequence[str]) -> None:
        self.skus, self.node_ids = sorted(skus), sorted(node_ids)
        self.row = {sku: at * len(self.node_ids) for at, sku in enumerate(self.skus)}
        self.place = {node_id: at for at, node_id in enumerate(self.node_ids)}

    def priced(self, stock: Mapping[str, Sequence[Keep]]) -> tuple[Ints, Floats, dict[int, str]]:
        """The cells that have a price, ascending, their prices, and the zones they are kept for."""
        place, cells, prices, zones = self.place, [], [], {}
        for sku in sorted(stock):
            row = self.row[sku]
            for node_id, mills, zone in map(_astuple, stock[sku]):
                if node_id in place:
                    cells.append(row + place[node_id])
                    prices.append(mills)
                    if zone:
                        zones[cells[-1]] = zone
        found, price = np.array(cells, np.int64), np.array(prices, np.float64)
        sequence = np.argsort(found, kind="stable")
        return found[sequence], price[sequence], zones

    def sheeted(self, cells: Ints, price: Floats, zones: Mapping[int, str]) -> dict[str, tuple[Keep, ...]]:
        """Prices by cell, ascending, as a sheet holds them: those above 0."""
        mills = np.minimum(np.rint(price).astype(np.int64), DEAREST)
        some = np.flatnonzero(mills)
        row, place = np.divmod(cells[some], max(1, len(self.node_ids)))
        node_ids = self.node_ids
        names, kept_for = map(node_ids.__getitem__, place.tolist()), map(zones.get, cells[some].tolist(), repeat(""))
        keeps = list(map(Keep, names, mills[some].tolist(), kept_for))
        rows, first = np.unique(row, return_index=True)
        parts = zip(rows.tolist(), pairwise([*first.tolist(), len(keeps)]), strict=True)
        return {self.skus[at]: tuple(keeps[start:end]) for at, (start, end) in parts}


_astuple = msgspec.structs.astuple


def followed(
    sheet: PriceSheet, observed: Observed, books: Books, skus: Sequence[str], snapshot: Snapshot, horizon: float
) -> PriceSheet:
    """The sheet moved by what was taken since: for between two programmes, and for when none is solved.

    `skus`, parallel to the snapshot's rows: those that have a price or were taken from.
    """
    numbers = books.network.numbers
    known = _Cells(skus, list(numbers))
    cells, free = _free(known, numbers, skus, snapshot)
    taken, units = _taken(known, numbers, observed)
    priced, prices, zones = known.priced(sheet.stock)
    concerned = np.intersect1d(np.union1d(priced, taken), cells, assume_unique=True)
    used = _at(concerned, taken, units).astype(np.int64)
    before = _at(concerned, priced, prices)
    stock = _at(concerned, cells, free).astype(np.int64) + used
    rate = gentle(observed.parcel_mills, stock) if sheet.futures else STEP * observed.parcel_mills
    moved = stepped(before, used, float(observed.since), stock, max(horizon, 1.0), rate)
    # A unit kept saves a dearer parcel at most: beyond the price of one only a programme goes, not one large order.
    moved = np.minimum(moved, np.maximum(before, observed.parcel_mills))
    told = known.sheeted(concerned, moved, zones)
    return msgspec.structs.replace(sheet, at_ms=snapshot.at_ms, source="adaptive", stock=told, version=0)


def _free(known: _Cells, numbers: Mapping[str, int], skus: Sequence[str], snapshot: Snapshot) -> tuple[Ints, Ints]:
    """The stocked cells, ascending, and the units free there."""
    slots = np.frombuffer(joined_slots(snapshot.rows), SLOT)
    row = np.repeat(np.array([known.row[sku] for sku in skus], np.int64), [len(each.slots) for each in snapshot.rows])
    place_of = np.full(max(numbers.values(), default=0) + 2, -1, np.int64)
    for node_id, number in numbers.items():
        place_of[number] = known.place[node_id]
    node = np.minimum(slots["node"].astype(np.int64), len(place_of) - 1)
    there = place_of[node] >= 0
    on_hand, held, safety, blocked = (
        slots[name][there].astype(np.int64) for name in ("on_hand", "held", "safety", "blocked")
    )
    cells = row[there] + place_of[node[there]]
    free = np.maximum(0, on_hand - held - np.maximum(0, safety) - blocked)
    sequence = np.argsort(cells, kind="stable")
    return cells[sequence], free[sequence]


def _taken(known: _Cells, numbers: Mapping[str, int], observed: Observed) -> tuple[Ints, Ints]:
    """The cells that were taken from, ascending, and how many units."""
    names = {number: node_id for node_id, number in numbers.items()}
    units = {
        known.row[sku] + known.place[names[number]]: count
        for (sku, number), count in observed.taken.items()
        if number in names
    }
    cells = np.array(sorted(units), np.int64)
    return cells, np.array([units[cell] for cell in cells.tolist()], np.int64)


def _at(asked: Ints, cells: Ints, values: Ints | Floats) -> Floats:
    """The values of cells, ascending, at those asked for; 0 where there is none."""
    found = np.zeros(len(asked), np.float64)
    if len(cells):
        at = np.minimum(np.searchsorted(cells, asked), len(cells) - 1)
        there = cells[at] == asked
        found[there] = values[at[there]]
    return found


def renewed_by(moved: PriceSheet, fresh: PriceSheet, received: Container[str]) -> PriceSheet:
    """Those of new futures, their stock's prices averaged with the ones before, which were `followed` until now.

    SKUs of which more was `received` have none before: what is plenty now has no price.
    """
    old = {sku: keeps for sku, keeps in moved.stock.items() if sku not in received}
    nodes = {keep.node_id for stock in (old, fresh.stock) for keeps in stock.values() for keep in keeps}
    known = _Cells(list(old.keys() | fresh.stock.keys()), list(nodes))
    (before_at, before, zones), (after_at, after, newer) = known.priced(old), known.priced(fresh.stock)
    cells = np.union1d(before_at, after_at)
    new = np.array([sku in received for sku in known.skus], np.bool_)[cells // max(1, len(known.node_ids))]
    latest = _at(cells, after_at, after)
    price = np.where(new, latest, renewed(_at(cells, before_at, before), latest))
    return msgspec.structs.replace(fresh, stock=known.sheeted(cells, price, zones | newer))
