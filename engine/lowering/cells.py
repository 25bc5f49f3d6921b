"""The packed stock rows of a snapshot as arrays over SKUs and nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.ledger.port import SLOT
from engine.lowering.question import WindowInput
from solvers.problem import Ints


@dataclass(frozen=True)
class Cells:
    """Stock of the window's SKUs as the snapshot saw it, int64[I, N]; 0 where a node never stocked the SKU.

    Few cells of a large network are stocked, and of all but `free` few windows ask: each is spread out when it is asked
    for. `at`: (SKU, node) of the stocked cells, the columns beside it parallel to them.
    """

    shape: tuple[int, int]
    at: tuple[Ints, Ints]
    places: Ints
    holding: Ints
    kept: Ints
    stocked: Ints

    def place(self, sku: Ints, node: Ints) -> Ints:
        """The slots of some stocked cells in their rows."""
        nodes = self.shape[1]
        keys = self.at[0] * nodes + self.at[1]
        sequence = np.argsort(keys)
        wanted = sku * nodes + node
        at = sequence[np.searchsorted(keys, wanted, sorter=sequence)]
        assert np.array_equal(keys[at], wanted), "only what is stocked has a slot"
        found: Ints = self.places[at]
        return found

    @cached_property
    def held(self) -> Ints:
        """Units held."""
        return self._dense(self.holding)

    @cached_property
    def safety(self) -> Ints:
        """Units that stay."""
        return self._dense(self.kept)

    @cached_property
    def physical(self) -> Ints:
        """on_hand - safety - blocked without holds, at least 0."""
        return self._dense(np.maximum(self.stocked, 0))

    @cached_property
    def free(self) -> Ints:
        """The same with holds, at least 0."""
        return self._dense(np.maximum(self.stocked - self.holding, 0))

    def _dense(self, values: Ints) -> Ints:
        grid = np.zeros(self.shape, np.int64)
        grid[self.at] = values
        return grid


def cells_of(window: WindowInput) -> Cells:
    """The cells of the packed rows; numbers of nodes that left the network are passed over."""
    network, rows = window.network, window.snapshot.rows
    lengths = np.array([len(row.slots) for row in rows], np.int64)
    # Joining bytes is several times faster than concatenating a thousand small structured arrays.
    slots = np.frombuffer(b"".join(row.slots.tobytes() for row in rows), SLOT)
    item = np.repeat(np.arange(len(rows)), lengths)
    place = np.arange(len(slots)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    node = network.indexes_of(slots["node"].astype(np.int64))
    here = node >= 0
    at = (item[here], node[here])
    safety = slots["safety"].astype(np.int64)[here]
    safety = np.where(safety < 0, network.safety[at[1]], safety)
    return Cells(
        shape=(len(window.skus), len(network.node_ids)),
        at=at,
        places=place[here],
        holding=slots["held"].astype(np.int64)[here],
        kept=safety,
        stocked=slots["on_hand"].astype(np.int64)[here] - slots["blocked"].astype(np.int64)[here] - safety,
    )
