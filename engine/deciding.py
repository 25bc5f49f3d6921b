"""The pure middle of the engine: a window's question in, its decisions out. lower -> solve -> check -> lift.

No I/O and no clock of its own: the only clock is the one passed in, for measuring and for the solver's safety cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from engine import recording
from engine.ledger.port import Batch, Proposal
from engine.lifting import lift
from engine.lowering import Lowered, WindowInput, lower
from engine.reoptimising.staying import staying
from solvers.budget import Budget
from solvers.problem import Mode, Problem
from solvers.solution import Solution, Violation, check


class UnsoundError(Exception):
    """Even the cheapest rung broke the problem's rules: a fault of the program; nothing is proposed."""


@dataclass(frozen=True, slots=True)
class DecidedWindow:
    """Proposals in window order, the window's record, how long deciding took and how well it is proven."""

    proposals: tuple[Proposal, ...]
    record: bytes
    solve_seconds: float
    gap: float | None
    staying: tuple[int | None, ...] = ()
    """What the plans of `WindowInput.present` cost as things are now, mills (see `reoptimising.staying`)."""

    def batch(self, question: WindowInput) -> Batch:
        """What to commit: the proposals with the versions and gains of the snapshot that they rest on."""
        snapshot = question.snapshot
        return Batch(
            window_id=question.window_id,
            versions=snapshot.versions,
            skus=question.skus,
            gains=tuple(row.gain for row in snapshot.rows),
            day_gains={day: load.gain for day, load in snapshot.days.items()},
            proposals=self.proposals,
            record=self.record,
            evicted=snapshot.evicted,
        )


def decide(window: WindowInput, *, now: Callable[[], float], recorded: bool = True) -> DecidedWindow:
    """Decide a window. `now` in seconds. Not `recorded`: the record is empty.

    Every solution is judged before it leaves; one that breaks a rule is replaced by the cheapest rung's and the record
    tells. Raises UnsoundError if that one is broken, too.
    """
    from solvers.choose import solve  # A second to load: only where windows are decided.

    started = now()
    lowered = lower(window)
    terms = window.policy.solver
    work = 0 if window.floor else terms.work  # without work every order gets the quick plan, a few milliseconds each
    budget = Budget(work=work, seconds=terms.budget_ms / 1000, now=now, gap=terms.gap, floor=window.floor)
    solution = solve(lowered.problem, budget)
    violations = check(lowered.problem, solution)
    if violations:
        solution = _fallback(lowered.problem, budget)
    solve_seconds = now() - started
    proposals = lift(lowered, solution, solve_seconds * 1000)
    record = b""
    if recorded:
        record = recording.pack(window, _summary(lowered, solution, violations, proposals, solve_seconds))
    present = staying(lowered, window.present)
    return DecidedWindow(proposals, record, now() - started, solution.gap, present)


def _fallback(problem: Problem, budget: Budget) -> Solution:
    """One order after another on the same problem, whatever its mode."""
    from solvers.choose import solve  # Loaded long since.

    plain = replace(problem, modes=(Mode.OPTIMISE,) * problem.orders)
    solution = solve(plain, replace(budget, floor=True))
    if violations := check(plain, solution):
        raise UnsoundError("; ".join(f"{violation.rule}: {violation.detail}" for violation in violations[:10]))
    return solution


def _summary(
    lowered: Lowered,
    solution: Solution,
    violations: list[Violation],
    proposals: tuple[Proposal, ...],
    solve_seconds: float,
) -> dict[str, Any]:
    """What was decided on what, by which method, and how well. Money in mills."""
    window, costs = lowered.window, solution.costs
    versions = window.snapshot.versions
    return {
        "window_id": window.window_id,
        "partition": window.partition,
        "at_ms": window.snapshot.at_ms,
        "network_version": versions.network,
        "policy_id": window.orders[0].policy_id,
        "policy_version": window.policy_version,
        "catalog_version": versions.catalog,
        "mode": window.policy.mode,
        "as_placed": window.as_placed,
        "order_ids": [order.order_id for order in window.orders],
        "states": [proposal.state for proposal in proposals],
        "solver": solution.solver,
        "work": solution.work,
        "bound": solution.bound,
        "gap": solution.gap,
        "cut": solution.cut,
        "abandoned": window.floor,
        "violations": [list(violation) for violation in violations[:10]],
        "solve_ms": round(solve_seconds * 1000, 3),
        "units": {
            "ordered": int(lowered.demand.quantity.sum()),
            "allocated": int(solution.boxes.take_units.sum()),
        },
        "parcels": len(solution.boxes.order),
        "cost": {
            term: int(getattr(costs, term).sum())
            for term in ("shipping", "handling", "split", "late", "unfilled", "total")
        },
    }
