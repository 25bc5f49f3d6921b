"""The subset DP with its boxes counted: the least cost of every state in at most 0, 1, 2, ... boxes."""

from __future__ import annotations

import numpy as np

from solvers.problem import Ints
from solvers.states import FAR, States, first_part, with_one_more


def by_boxes(price: Ints, boxes: Ints, start: Ints, most: int) -> dict[int, Ints]:
    """int64[M, G] for every number of boxes up to `most` that shipments have: the cheapest single shipment with it.

    price, boxes int64[M, R], rows contiguous by order from `start` int64[G] on.
    """
    counts = np.unique(boxes[1:][price[1:] < FAR]).tolist()
    return {
        count: np.minimum.reduceat(np.where(boxes == count, price, FAR), start, axis=1)
        for count in counts
        if 0 < count <= most
    }


class Layers:
    """`least[k]` int64[M, G]: shipping each state in at most k boxes, 0 <= k <= most; FAR where that cannot be."""

    def __init__(self, states: States, part: dict[int, Ints], most: int, orders: int) -> None:
        self._states, self._part = states, part
        nothing = np.full((len(states.vector), orders), FAR, np.int64)
        nothing[0] = 0
        self.least = [nothing]
        for used in range(1, most + 1):
            layer = self.least[-1]
            for boxes, single in part.items():
                if boxes <= used:
                    layer = np.minimum(layer, with_one_more(states, single, self.least[used - boxes]))
            self.least.append(layer)

    def trace(self, used: int, state: int, column: int) -> list[tuple[int, int]]:
        """(part, boxes) of a cheapest way to ship the state of one order in at most `used` boxes."""
        found = []
        while state:
            goal = int(self.least[used][state, column])
            while int(self.least[used - 1][state, column]) == goal:
                used -= 1
            part, rest, boxes = self._step(used, state, column, goal)
            found.append((part, boxes))
            state, used = rest, used - boxes
        return found

    def _step(self, used: int, state: int, column: int, goal: int) -> tuple[int, int, int]:
        for boxes, single in self._part.items():
            if boxes <= used:
                before = self.least[used - boxes][:, column]
                part, rest = first_part(self._states, single[:, column], before, state)
                if int(single[part, column]) + int(before[rest]) == goal:
                    return part, rest, boxes
        raise AssertionError("a layer is reached by one of its parts")
