"""Windows decided and committed as the allocator does it, phase by phase, in processor time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from bench import processor
from bench.asking import question_of
from bench.scale.loading import PARTITION, trim
from engine.assembly import Engine
from engine.crew import Named, pack, unpack
from engine.deciding import decide
from engine.domain import Order
from engine.ledger.port import Verdict
from engine.lifting import lift
from engine.lowering import WindowInput, lower
from engine.network import Network
from engine.policy import Policy
from solvers.budget import Budget
from solvers.choose import solve
from solvers.solution import check

WARM_UP = 3
"""Windows that are decided before any is measured."""

WHOLE = ("snapshot", "pipe", "decide", "commit", "store")
"""What an order costs, together. `snapshot` and `commit`: the service's side of them; `store`: the store's of both,
without the copies that it makes of its file beside; `pipe`: the window packed for the worker and opened there."""

PARTS = ("lower", "solve", "check", "lift")
"""What `decide` consists of mostly, measured once more by itself."""

Microseconds = dict[str, float]
"""Of processor, an order, by phase."""


class Deciding:
    """Decides windows on an engine's store, whose process id is told."""

    def __init__(self, engine: Engine, store: int) -> None:
        self._engine = engine
        self._store = store
        self._sent: dict[Named, object] = {}
        self._kept: dict[Named, Network | Policy] = {}
        self._spent: list[Counter[str]] = []
        self.options = 0
        """Of all windows: ways for an order to go, from a node by a service on a day."""
        self.faults: list[str] = []

    async def window(self, window_id: str, orders: list[Order]) -> None:
        """Decide and commit these orders."""
        spent: Counter[str] = Counter()
        stored = processor.of_thread(self._store)
        with _timed(spent, "snapshot"):
            question = await question_of(self._engine, PARTITION, window_id, orders)
        with _timed(spent, "pipe"):
            unpack(pack(question, None, self._sent), self._kept)
        with _timed(spent, "decide"):
            batch = decide(question, now=time.monotonic).batch(question)
        with _timed(spent, "commit"):
            outcomes = await self._engine.ledger.commit(PARTITION, batch)
        spent["store"] = processor.of_thread(self._store) - stored  # type: ignore[assignment]
        if any(outcome.verdict is not Verdict.COMMITTED for outcome in outcomes):
            self.faults.append(f"{window_id}: not all of it was committed")
        self._parts(question, spent)
        self._spent.append(spent)
        await trim(self._engine)

    def _parts(self, question: WindowInput, spent: Counter[str]) -> None:
        terms = question.policy.solver
        with _timed(spent, "lower"):
            lowered = lower(question)
        with _timed(spent, "solve"):
            solution = solve(lowered.problem, Budget(work=terms.work, gap=terms.gap))
        with _timed(spent, "check"):
            violations = check(lowered.problem, solution)
        with _timed(spent, "lift"):
            lift(lowered, solution, 0.0)
        self.options += len(lowered.ways.order)
        self.faults += [f"{question.window_id}: {each.rule}" for each in violations]

    def microseconds(self, orders: int) -> Microseconds:
        """Medians over the windows of `orders` orders after the first."""
        spent = self._spent[WARM_UP:]
        return {phase: 1e6 * float(np.median([one[phase] for one in spent])) / orders for phase in (*WHOLE, *PARTS)}


@contextmanager
def _timed(spent: Counter[str], phase: str) -> Iterator[None]:
    begun = processor.own()
    yield
    spent[phase] += processor.own() - begun  # type: ignore[assignment]
