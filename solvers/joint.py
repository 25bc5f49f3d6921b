"""The contested window: orders that want the same last units are decided together.

1. Orders whose own best plans overdraw nothing keep them; only those that touch a contested resource are *active*.
2. Column generation: the master's LP prices the contested cells and rooms, every active order answers with its best
   plan at those prices, until none improves. Orders whose plans touch a priced resource become active too.
3. The Lagrangian value of the prices, in integers, is the bound. The integer master picks the plans; where a gap is
   left, every plan whose reduced cost lies inside it joins the master, which then proves its optimum.
4. One by one (`greedy`) is the incumbent throughout: the answer is never worse.

Fill (`fill_always`) stands as rows of the master: what stock lets each SKU and priority class ship at most (`fill`).
Where capacity makes that unreachable, or limits and shared parts leave it unknown, fill has a price: see `fullest`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from solvers.alone import Alone
from solvers.column import key_of
from solvers.columns import Answer, Window
from solvers.fill import by_class, everything, known, targets
from solvers.fullest import Fullest
from solvers.plan import Priced
from solvers.problem import Problem
from solvers.purse import Purse
from solvers.solution import Plan


class Joined(NamedTuple):
    """A plan per order; `bound` on the money of equally filled solutions, None if unproven; `cut`: work ran out."""

    plans: list[Plan]
    bound: int | None
    cut: bool


def solve(
    problem: Problem,
    alone: Alone,
    greedy: Sequence[Priced],
    fallback: dict[int, Priced],
    purse: Purse,
    gap: float = 0.0,
) -> Joined:
    """Decide a contested window. `alone`: each order's own best plan; `greedy`: a feasible plan of every order;
    `fallback`: of some, a plan without what is contested.

    `purse` bounds the search, which is deterministic but for the caller's clock in it. What is proven within `gap` of
    the best, as a share of its cost, is not improved further.
    """
    window = Window(problem, alone, greedy, fallback, purse, gap)
    best: Answer | None = None
    if not problem.objective.fill_always:
        best = window.run(None)
    elif known(problem):
        filled = sum(one.filled for one in greedy) == problem.demand()
        best = window.run(everything(problem) if filled else targets(problem, window.supply, alone.simple))
    if problem.objective.fill_always and not window.cut and (best is None or not window.is_full(best[0])):
        # The targets may be out of reach.
        window = Fullest(problem, alone, greedy, fallback, purse, gap)
        best = _better(best, window.run(by_class(problem, alone.plans)))
    best = _better(best, (key_of(problem, greedy), [one.plan for one in greedy], None))
    assert best is not None, "one by one is an answer"
    return Joined(best[1], best[2] if best[2] is not None else window.claim(best[0]), window.cut)


def _better(one: Answer | None, two: Answer | None) -> Answer | None:
    """The answer with the smaller key; `one` where they are equal."""
    return min((answer for answer in (one, two) if answer is not None), key=lambda answer: answer[0], default=None)
