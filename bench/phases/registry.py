"""What is timed: the cases, and the phases that each of them goes through.

A phase is a verb. `setup` makes what it works on, anew for every round, so that nothing is found worked out already;
`work` is timed; `sound` says of its result whether it was the work at all, and is what the tests look at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import msgspec
import numpy as np

from api.bodies import order_of
from api.orders import check as admissible
from bench.phases.scene import Scene, Shape
from bench.windows.scene import SCARCITIES
from engine.decisions import Decision, encode
from engine.domain import Order, content_hash
from engine.ledger.port import Outcome, Verdict
from engine.lifting import lift
from engine.lowering import lower
from solvers.alone import Alone, plans_alone
from solvers.budget import Budget
from solvers.choose import solve
from solvers.menu import Supply
from solvers.problem import Problem
from solvers.purse import Purse
from solvers.solution import check

QUICK, SLOW = 10, 5
"""Rounds of a phase that costs little to prepare, and of one that needs a partition of its own each time."""


class Phase(NamedTuple):
    """One verb. `sound(scene, result)`: every order was dealt with, and rightly."""

    verb: str
    says: str
    setup: Callable[[Scene], tuple[Any, ...]]
    work: Callable[..., Any]
    sound: Callable[[Scene, Any], bool]
    rounds: int = QUICK


class Case(NamedTuple):
    """A row of shapes along which one thing changes, and the phases that are worth timing there."""

    name: str
    sweep: tuple[Shape, ...]
    phases: tuple[str, ...]


def _problem(scene: Scene) -> Problem:
    return lower(scene.question).problem


def _decode(scene: Scene, bodies: tuple[bytes, ...]) -> list[tuple[Order, bytes]]:
    async def all_of_them() -> list[tuple[Order, bytes]]:
        found = []
        for body in bodies:
            order = await order_of(body)
            admissible(order)
            found.append((order, content_hash(order)))
        return found

    return scene.run(all_of_them())


def _price(problem: Problem, budget: Budget) -> Alone:
    orders = np.arange(problem.orders)
    return plans_alone(problem, orders, Supply.of(problem), Purse(budget.work), work=budget.order_work)


def _commit(scene: Scene, partition: str) -> list[Outcome]:
    return scene.run(scene.engine.ledger.commit(partition, scene.batch))


def _encode(decisions: list[Decision]) -> list[bytes]:
    return [encode(decision) for decision in decisions]


def _decisions(scene: Scene) -> tuple[list[Decision]]:
    decode = msgspec.json.Decoder(Decision).decode
    return ([decode(proposal.decision) for proposal in scene.decided.proposals],)


def _end_to_end(scene: Scene, partition: str) -> list[bytes]:
    """From the bytes of all orders to the bytes of all decisions, by the way that a request takes."""
    gate = scene.engine.gate

    async def one(body: bytes) -> bytes:
        order = await order_of(body)
        admissible(order)
        return (await gate.submit(partition, order)).decision

    async def all_of_them() -> list[bytes]:
        return list(await asyncio.gather(*map(one, scene.bodies)))

    return scene.run(all_of_them())


def _answers_all(scene: Scene, decisions: list[bytes]) -> bool:
    """Every order has its own decision, and all were decided in one window."""
    decoded = [msgspec.json.decode(decision, type=Decision) for decision in decisions]
    asked = [msgspec.json.decode(body)["order_id"] for body in scene.bodies]
    one = {(each.window.window_id, each.window.orders) for each in decoded}
    return [each.order_id for each in decoded] == asked and len(one) == 1 and one.pop()[1] == scene.shape.orders


PHASES = {
    phase.verb: phase
    for phase in (
        Phase(
            "decode", "bytes to orders, admission, hash of the content",
            lambda scene: (scene, scene.bodies), _decode,
            lambda scene, found: [order for order, _ in found] == list(scene.question.orders),
        ),
        Phase(
            "lower", "orders, stock and network to arrays, with every parcel's price curve",
            lambda scene: (scene.question,), lower,
            lambda scene, lowered: lowered.problem.orders == scene.shape.orders,
        ),
        Phase(
            "price", "each order's own best plan at exact prices, as if it were alone",
            lambda scene: (_problem(scene), scene.budget), _price,
            lambda scene, alone: len(alone.plans) == scene.shape.orders,
        ),
        Phase(
            "solve", "one plan for each order, jointly",
            lambda scene: (_problem(scene), scene.budget), solve,
            lambda scene, solution: check(_problem(scene), solution) == [],
        ),
        Phase(
            "check", "the judge: rules and money from scratch",
            lambda scene: (_problem(scene), scene.solution), check,
            lambda _, found: found == [],
        ),
        Phase(
            "lift", "plans to proposals, decisions and orders encoded",
            lambda scene: (lower(scene.question), scene.solution, 1.0), lift,
            lambda scene, proposals: [each.order_id for each in proposals]
            == [order.order_id for order in scene.question.orders],
        ),
        Phase(
            "commit", "the window into the ledger, durable where it is a store",
            lambda scene: (scene, scene.fresh()), _commit,
            lambda _, outcomes: {outcome.verdict for outcome in outcomes} == {Verdict.COMMITTED}, SLOW,
        ),
        Phase(
            "encode", "decisions to bytes (a part of lift, told apart)",
            _decisions, _encode,
            lambda scene, bodies: bodies == [proposal.decision for proposal in scene.decided.proposals],
        ),
        Phase(
            "end_to_end", "bytes of orders to bytes of decisions, through gate and allocator",
            lambda scene: (scene, scene.fresh()), _end_to_end, _answers_all, SLOW,
        ),
    )
}  # fmt: skip
"""By verb, in the order in which a window goes through them."""

ALL = tuple(PHASES)
ORDERS, NODES, SHORT = (50, 200, 500), (10, 200), 5

CASES = (
    Case("orders", tuple(Shape(orders, scarcity=one) for one, orders in product(SCARCITIES, ORDERS)), ALL),
    Case("nodes", tuple(Shape(nodes=nodes, scarcity=one) for one, nodes in product(SCARCITIES, NODES)), ALL),
    Case("short", tuple(Shape(orders, lines_max=SHORT) for orders in ORDERS), ALL),
    Case("store", tuple(Shape(orders, store="valkey") for orders in ORDERS), ("commit", "end_to_end")),
)
"""`nodes` lacks the 50 that `orders` has already. `short` leaves out what is dear: the few orders of many lines."""


def every() -> Iterator[tuple[Shape, Phase]]:
    """All there is to time, shape by shape."""
    for case in CASES:
        for shape in case.sweep:
            for verb in case.phases:
                yield shape, PHASES[verb]


def label(shape: Shape, phase: Phase) -> str:
    """The name of one benchmark."""
    return f"{shape.label}-{phase.verb}"
