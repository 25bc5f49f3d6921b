"""One order out of its window: what the others left, and the order decided again under a condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import msgspec
import numpy as np

from engine.decisions import Decision
from engine.ledger.port import LOAD, DayLoad, Proposal, Row, Snapshot
from engine.lifting import lift
from engine.lowering import Lowered, WindowInput, lower
from solvers.budget import Budget
from solvers.problem import Problem

_decision = msgspec.json.Decoder(Decision).decode

WORK = 3_000_000
"""Of the solver for one order under one condition: exact for all but large orders."""


def only(window: WindowInput, order: int, others: Iterable[Proposal] = ()) -> WindowInput:
    """The window as if just this order had been in it, on what the plans of `others` leave."""
    return replace(
        window,
        orders=window.orders[order : order + 1],
        contents=window.contents[order : order + 1],
        idempotency_keys=window.idempotency_keys[order : order + 1],
        waited_ms=window.waited_ms[order : order + 1],
        snapshot=less(window.snapshot, others),
    )


def less(snapshot: Snapshot, others: Iterable[Proposal]) -> Snapshot:
    """A snapshot after these proposals have taken what they take."""
    rows, days = list(snapshot.rows), dict(snapshot.days)
    owned: set[int] = set()
    for proposal in others:
        for take in proposal.takes:
            if take.sku not in owned:
                owned.add(take.sku)
                rows[take.sku] = Row(rows[take.sku].gain, rows[take.sku].slots.copy())
            rows[take.sku].slots["held"][take.slot] += take.units
        for load in proposal.loads:
            if load.day in days:
                days[load.day] = _loaded(days[load.day], load.node, load.parcels, load.units)
    return replace(snapshot, rows=tuple(rows), days=days)


def _loaded(day: DayLoad, node: int, parcels: int, units: int) -> DayLoad:
    nodes = np.zeros(max(len(day.nodes), node + 1), LOAD)
    nodes[: len(day.nodes)] = day.nodes
    nodes["parcels"][node] += parcels
    nodes["units"][node] += units
    return DayLoad(day.gain, nodes)


class Scene:
    """One order and its stock, ready to be decided under conditions."""

    def __init__(self, window: WindowInput, now: Callable[[], float]) -> None:
        self.lowered: Lowered = lower(window)
        self._now = now

    def decided(self) -> Decision:
        """As it is."""
        return self._solved(self.lowered.problem)

    def from_nodes(self, allowed: Iterable[int]) -> Decision:
        """If just these nodes (by index) might ship anything."""
        problem = self.lowered.problem
        outside = np.ones(problem.nodes, np.bool_)
        outside[list(allowed)] = False
        eligible = problem.lines.eligible & ~outside
        return self._solved(replace(problem, lines=replace(problem.lines, eligible=eligible)))

    def _solved(self, problem: Problem) -> Decision:
        from solvers.choose import solve  # As in `deciding`.

        solution = solve(problem, Budget(work=WORK, now=self._now))
        lowered = replace(self.lowered, problem=problem)
        return _decision(lift(lowered, solution, 0.0)[0].decision)
