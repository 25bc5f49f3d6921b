"""Small problems for the solver tests: built by hand from plain rows, or at random from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from solvers.problem import UNLIMITED, Curves, Derived, Limits, Lines, Mode, Objective, Options, Problem


@dataclass
class Way:
    """One option of an order. `curve` is an index into `World.curves`."""

    node: int
    curve: int = -1
    ship_parcel: int = 0
    ship_line: int = 0
    ship_unit: int = 0
    ship_per_kg: int = 0
    handle_parcel: int = 0
    handle_line: int = 0
    handle_unit: int = 0
    max_weight_g: int = UNLIMITED
    dim_divisor: int = 0
    late_days: int = 0
    bucket: int = -1
    day: int = 0


@dataclass
class Want:
    """One line: item, quantity, unit weight and volume, and the nodes that may ship it (None: all)."""

    item: int
    quantity: int = 1
    weight_g: int = 100
    volume_mm3: int = 1000
    nodes: Sequence[int] | None = None


@dataclass
class World:
    """Orders as (wants, ways, priority) over a stock table [items][nodes]; `problem()` lowers them to arrays."""

    stock: Sequence[Sequence[int]]
    orders: list[tuple[list[Want], list[Way], int]] = field(default_factory=list)
    curves: list[list[tuple[int, int]]] = field(default_factory=list)
    rooms: list[tuple[int, int]] = field(default_factory=list)  # (parcels, units) by bucket
    objective: Objective = field(default_factory=Objective)
    mode: Mode = Mode.OPTIMISE
    node_rank: Sequence[int] | None = None
    distance_m: Sequence[Sequence[int]] | None = None

    def order(self, wants: list[Want], ways: list[Way], priority: int = 0) -> World:
        """Add one order."""
        self.orders.append((wants, ways, priority))
        return self

    def problem(self) -> Problem:
        """The validated arrays."""
        stock = np.array(self.stock, np.int64)
        nodes = stock.shape[1]
        wants = [want for order in self.orders for want in order[0]]
        ways = [way for order in self.orders for way in sorted(order[1], key=lambda way: way.node)]
        eligible = np.array(
            [[want.nodes is None or k in want.nodes for k in range(nodes)] for want in wants], np.bool_
        ).reshape(len(wants), nodes)

        def column(rows: list[Want] | list[Way], name: str) -> np.ndarray:
            return np.array([getattr(row, name) for row in rows], np.int64)

        breaks = max((len(curve) for curve in self.curves), default=1)
        table = np.full((2, len(self.curves), breaks), UNLIMITED, np.int64)
        for c, curve in enumerate(self.curves):
            for b, (up_to, price) in enumerate(curve):
                table[0, c, b], table[1, c, b] = up_to, price
        names = [name for name in Options.__slots__ if name != "start"]
        problem = Problem(
            lines=Lines(
                start=np.cumsum([0] + [len(order[0]) for order in self.orders], dtype=np.int64),
                item=column(wants, "item"),
                quantity=column(wants, "quantity"),
                weight_g=column(wants, "weight_g"),
                volume_mm3=column(wants, "volume_mm3"),
                eligible=eligible,
                **neutral(len(wants)),
            ),
            options=Options(
                start=np.cumsum([0] + [len(order[1]) for order in self.orders], dtype=np.int64),
                **{name: column(ways, name) for name in names},
            ),
            curves=Curves(up_to_g=table[0], price=table[1]),
            priority=np.array([order[2] for order in self.orders], np.int64),
            stock=stock,
            bucket_parcels=np.array([room[0] for room in self.rooms], np.int64),
            bucket_units=np.array([room[1] for room in self.rooms], np.int64),
            node_rank=np.array(self.node_rank if self.node_rank is not None else [0] * nodes, np.int64),
            distance_m=np.array(self.distance_m, np.int64)
            if self.distance_m is not None
            else np.full((len(self.orders), nodes), UNLIMITED, np.int64),
            derived=Derived.none(),
            limits=Limits.none(len(self.orders)),
            source_bucket=np.zeros((0, nodes), np.int64),
            modes=(self.mode,) * len(self.orders),
            objective=self.objective,
        )
        problem.validate()
        return problem


def neutral(rows: int) -> dict[str, np.ndarray]:
    """The columns of `Lines` where every line has one row and none asks for anything."""
    every, nothing = np.arange(rows, dtype=np.int64), np.zeros(rows, np.int64)
    return {
        "line": every,
        "draw": every,
        "more_line": nothing,
        "more_unit": nothing,
        "group": nothing - 1,
        "value": nothing,
        "alone": np.zeros(rows, np.bool_),
        "dated": nothing,
    }


def random_world(
    seed: int,
    *,
    orders: int = 1,
    items: int = 3,
    nodes: int = 3,
    lines: int = 3,
    quantity: int = 2,
    stock: int = 3,
    per_node: int = 2,
    priorities: int = 1,
    capacity: bool = True,
    fill_always: bool | None = None,
) -> Problem:
    """A tiny window with every feature now and then: weight limits, lanes, dimensional weight, late days, capacity,
    repeated SKUs, ineligible nodes, equal prices. The same seed is the same window."""
    rng = np.random.default_rng(seed)

    def roll(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    world = World(
        stock=rng.integers(0, stock + 1, (items, nodes)).tolist(),
        curves=[
            [(limit, 500 * (b + 1) * roll(1, 4)) for b, limit in enumerate((200, 500, 900, 2000))] for _ in range(3)
        ],
        rooms=[(roll(0, 3), roll(0, 5)) for _ in range(nodes)],
        objective=Objective(
            fill_always=bool(roll(0, 1)) if fill_always is None else fill_always,
            split_parcel=roll(0, 2) * 400,
            late_per_day=roll(0, 2) * 300,
            unfilled_per_unit=roll(0, 4) * 900,
        ),
        node_rank=rng.permutation(nodes).tolist(),
        distance_m=rng.integers(0, 9, (orders, nodes)).tolist(),
    )
    for _ in range(orders):
        wants = [
            Want(
                item=roll(0, items - 1),
                quantity=roll(1, quantity),
                weight_g=roll(0, 4) * 100,
                volume_mm3=roll(0, 5) * 1000,
                nodes=None if roll(0, 3) else [k for k in range(nodes) if roll(0, 2)],
            )
            for _ in range(roll(1, lines))
        ]
        ways = []
        for node in range(nodes):
            for _ in range(roll(0, per_node)):
                lane = roll(0, 1)
                ways.append(
                    Way(
                        node=node,
                        curve=-1 if lane else roll(0, 2),
                        ship_parcel=roll(0, 5) * 300 if lane else 0,
                        ship_line=roll(0, 2) * 50 if lane else 0,
                        ship_unit=roll(0, 3) * 77 if lane else 0,
                        ship_per_kg=roll(0, 3) * 333 if lane else 0,
                        handle_parcel=roll(0, 3) * 100,
                        handle_line=roll(0, 1) * 40,
                        handle_unit=roll(0, 1) * 30,
                        max_weight_g=UNLIMITED if roll(0, 2) else roll(2, 6) * 100,
                        dim_divisor=0 if roll(0, 1) else roll(2, 9),
                        late_days=roll(0, 2) if roll(0, 1) else 0,
                        bucket=node if capacity and roll(0, 1) else -1,
                    )
                )
        world.order(wants, ways, roll(0, priorities - 1))
    return world.problem()
