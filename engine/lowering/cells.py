"""The packed stock rows of a snapshot as dense arrays over SKUs and nodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.ledger.port import SLOT
from engine.lowering.question import WindowInput
from solvers.problem import Ints


@dataclass(frozen=True, slots=True)
class Cells:
    """Stock of the window's SKUs as the snapshot saw it, int64[I, N]; 0 where a node never stocked the SKU.

    `place`: the cell's slot in its row, -1 for none. `physical`: on_hand - safety - blocked without holds, at least 0.
    """

    place: Ints
    held: Ints
    safety: Ints
    physical: Ints
    free: Ints


def cells_of(window: WindowInput) -> Cells:
    """Scatter the packed rows into dense arrays; numbers of nodes that left the network are passed over."""
    network, rows = window.network, window.snapshot.rows
    shape = (len(window.skus), len(network.node_ids))
    lengths = np.array([len(row.slots) for row in rows], np.int64)
    # Joining bytes is several times faster than concatenating a thousand small structured arrays.
    slots = np.frombuffer(b"".join(row.slots.tobytes() for row in rows), SLOT)
    item = np.repeat(np.arange(len(rows)), lengths)
    place = np.arange(len(slots)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    number = slots["node"].astype(np.int64)
    known = number < len(network.index_of)
    node = np.where(known, network.index_of[np.where(known, number, 0)], -1)
    here = node >= 0
    at = (item[here], node[here])
    safety = slots["safety"].astype(np.int64)[here]
    safety = np.where(safety < 0, network.safety[at[1]], safety)
    held = slots["held"].astype(np.int64)[here]
    stocked = slots["on_hand"].astype(np.int64)[here] - slots["blocked"].astype(np.int64)[here] - safety

    def dense(values: Ints, fill: int = 0) -> Ints:
        grid = np.full(shape, fill, np.int64)
        grid[at] = values
        return grid

    return Cells(
        place=dense(place[here], -1),
        held=dense(held),
        safety=dense(safety),
        physical=dense(np.maximum(stocked, 0)),
        free=dense(np.maximum(stocked - held, 0)),
    )
