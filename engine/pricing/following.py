"""Price sheets between two programmes: moved by what was taken, and averaged with what new futures say.

A sheet of a large merchant has a hundred thousand cells and is followed every few seconds, so cells are numbers here:
place of the SKU, by name, times NODES, plus number of the node.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from engine.ledger.port import SLOT, Snapshot
from engine.network import Network
from engine.pricing.descent import STEP, Floats, Ints, gentle, renewed, stepped
from engine.pricing.observed import Observed
from engine.pricing.sheet import CELL, PriceSheet, by_sku
from engine.recording import joined_slots
from engine.registry import Books
from solvers.problem import DEAREST

NODES = 2**16
"""More than any number of a node (`engine.ledger.port`)."""


class _Priced(NamedTuple):
    """The cells that have a price, ascending, their prices, and the zones that they are kept for, all int64[K]."""

    at: Ints
    mills: Ints
    zone: Ints


def _priced(sheet: PriceSheet, skus: Sequence[str]) -> _Priced:
    row, cells = sheet.of(skus)
    return _Priced(row * NODES + cells["node"], cells["mills"].astype(np.int64), cells["zone"].astype(np.int64))


def _stock(skus: Sequence[str], at: Ints, price: Floats, zone: Ints) -> dict[str, bytes]:
    """Prices by cell, ascending, as a sheet holds them: those above 0."""
    mills = np.minimum(np.rint(price).astype(np.int64), DEAREST)
    some = np.flatnonzero(mills)
    row, node = np.divmod(at[some], NODES)
    cells = np.empty(len(some), CELL)
    cells["node"], cells["mills"], cells["zone"] = node, mills[some], zone[some]
    return by_sku(skus, row, cells)


def followed(
    sheet: PriceSheet, observed: Observed, books: Books, skus: Sequence[str], snapshot: Snapshot, horizon: float
) -> PriceSheet:
    """The sheet moved by what was taken since: for between two programmes, and for when none is solved.

    `skus`, parallel to the snapshot's rows: those that have a price or were taken from.
    """
    known = sorted(skus)
    row_of = {sku: at * NODES for at, sku in enumerate(known)}
    cells, free = _free(row_of, books.network, skus, snapshot)
    before = _priced(sheet, known)
    mills, zone = _at(cells, before.at, before.mills, before.zone)
    (used,) = _at(cells, *_taken(row_of, observed))
    price, stock = mills.astype(np.float64), free + used
    rate = gentle(observed.parcel_mills, stock) if sheet.futures else STEP * observed.parcel_mills
    moved = stepped(price, used, float(observed.since), stock, max(horizon, 1.0), rate)
    # A unit kept saves a dearer parcel at most: beyond the price of one only a programme goes, not one large order.
    moved = np.minimum(moved, np.maximum(price, observed.parcel_mills))
    told = _stock(known, cells, moved, zone)
    return msgspec.structs.replace(sheet, at_ms=snapshot.at_ms, source="adaptive", stock=told, version=0)


def _free(row_of: Mapping[str, int], network: Network, skus: Sequence[str], snapshot: Snapshot) -> tuple[Ints, Ints]:
    """The stocked cells, ascending, and the units free there."""
    slots = np.frombuffer(joined_slots(snapshot.rows), SLOT)
    row = np.repeat(np.array([row_of[sku] for sku in skus], np.int64), [len(each.slots) for each in snapshot.rows])
    node = slots["node"].astype(np.int64)
    there = network.indexes_of(node) >= 0
    on_hand, held, safety, blocked = (
        slots[name][there].astype(np.int64) for name in ("on_hand", "held", "safety", "blocked")
    )
    cells = row[there] + node[there]
    free = np.maximum(0, on_hand - held - np.maximum(0, safety) - blocked)
    sequence = np.argsort(cells, kind="stable")
    return cells[sequence], free[sequence]


def _taken(row_of: Mapping[str, int], observed: Observed) -> tuple[Ints, Ints]:
    """The cells that were taken from, and how many units."""
    cells = np.array([row_of[sku] + node for sku, node in observed.taken], np.int64)
    return cells, np.array(list(observed.taken.values()), np.int64)


def _at(asked: Ints, cells: Ints, *values: Ints) -> list[Ints]:
    """Values of `cells` at those `asked` for, which ascend; 0 where there is none."""
    place = np.minimum(np.searchsorted(asked, cells), max(0, len(asked) - 1))
    there = asked[place] == cells if len(asked) else np.zeros(len(cells), np.bool_)
    found = [np.zeros(len(asked), np.int64) for _ in values]
    for spread, value in zip(found, values, strict=True):
        spread[place[there]] = value[there]
    return found


def renewed_by(moved: PriceSheet, fresh: PriceSheet, received: Container[str]) -> PriceSheet:
    """Those of new futures, their stock's prices averaged with the ones before, which were `followed` until now.

    SKUs of which more was `received` have none before: what is plenty now has no price.
    """
    known = sorted(moved.stock.keys() | fresh.stock.keys())
    new = np.array([sku in received for sku in known], np.bool_)
    before, after = _priced(moved, known), _priced(fresh, known)
    before = _Priced(*(each[~new[before.at // NODES]] for each in before))
    cells = np.union1d(before.at, after.at)
    zones = {zone: at for at, zone in enumerate(dict.fromkeys((*moved.zones, *fresh.zones)))}
    zone_of = np.array([zones[zone] for zone in fresh.zones])
    older, zone = _at(cells, before.at, before.mills, before.zone)
    latest, newer = _at(cells, after.at, after.mills, zone_of[after.zone])
    price = renewed(older.astype(np.float64), latest.astype(np.float64))
    price = np.where(new[cells // NODES], latest, price)
    stock = _stock(known, cells, price, np.where(newer > 0, newer, zone))
    return msgspec.structs.replace(fresh, stock=stock, zones=tuple(zones))
