"""The integer choice by small searches, beside the MIP on the same columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from solvers import columns
from solvers.choose import Budget, solve
from solvers.master import Choice, Master, Prices
from solvers.picking import pick
from tests.solvers.worlds import random_world


@pytest.mark.parametrize("fill_always", [True, False])
def test_what_is_picked_costs_what_the_mip_says(monkeypatch: pytest.MonkeyPatch, fill_always: bool) -> None:
    """Prices and groups only save work: the choice fits, is as full as asked, and no choice of columns is cheaper."""
    picked: list[Choice | None] = []

    def beside(master: Master, prices: Prices, floors: Sequence[int], liked: NDArray[np.float64]) -> Choice | None:
        choice = pick(master, prices, floors, liked)
        picked.append(choice)
        if choice is not None and choice.optimal:
            assert master.holds(choice.columns, floors)
            best = master.decide(floors, most=master.size)
            assert best is not None
            assert master.cost[choice.columns].sum() == master.cost[best.columns].sum()
        return choice

    monkeypatch.setattr(columns, "pick", beside)
    for seed in range(30):
        size = {"orders": 20 + seed % 25, "items": 12, "nodes": 5, "stock": 8 + seed % 4}
        solve(random_world(seed, fill_always=fill_always, capacity=not fill_always and seed % 3 == 0, **size), Budget())
    found = [choice for choice in picked if choice is not None and choice.optimal]
    assert len(found) > len(picked) / 4 > 4
