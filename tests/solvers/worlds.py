"""Small problems for the solver tests: built by hand from plain rows, or at random from a seed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from math import comb

import numpy as np

from solvers.plan import derive
from solvers.problem import UNLIMITED, Curves, Derived, Guide, Limits, Lines, Mode, Objective, Options, Problem


@dataclass
class Way:
    """One option of an order. `curve` is an index into `World.curves`; `rules`, `balance`: see `World.weights`."""

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
    rules: int = 0
    balance: int = 0


@dataclass
class Want:
    """One line: item, quantity, unit weight and volume, and the nodes that may ship it (None: all).

    `instead`: other ways to supply the same line; of those only item, weight, volume, nodes, value, alone, more_* and
    `same_draw` count. `same_draw`: drawn from the same place as the row before it.
    """

    item: int
    quantity: int = 1
    weight_g: int = 100
    volume_mm3: int = 1000
    nodes: Sequence[int] | None = None
    group: int = -1
    dated: int = 0
    value: int = 0
    alone: bool = False
    more_line: int = 0
    more_unit: int = 0
    same_draw: bool = False
    instead: Sequence[Want] = ()


@dataclass
class Made:
    """A derived item: units of each part, drawn at `source` for what leaves `node` (None: at whatever node it leaves).

    It is the item after the last row of the stock table, in order of the list.
    """

    parts: Sequence[tuple[int, int]]
    source: int | None = None
    node: int | None = None


@dataclass
class Asked:
    """One order: its lines, options, priority, limits and mode (None: that of the world)."""

    wants: list[Want]
    ways: list[Way]
    priority: int = 0
    max_parcels: int = UNLIMITED
    complete: bool = False
    whole_lines: bool = False
    min_split_value: int = 0
    mode: Mode | None = None


@dataclass
class World:
    """Orders over a stock table [items][nodes]; `problem()` lowers them to arrays."""

    stock: Sequence[Sequence[int]]
    orders: list[Asked] = field(default_factory=list)
    curves: list[list[tuple[int, int]]] = field(default_factory=list)
    rooms: list[tuple[int, int]] = field(default_factory=list)  # (parcels, units) by bucket
    objective: Objective = field(default_factory=Objective)
    mode: Mode = Mode.OPTIMISE
    node_rank: Sequence[int] | None = None
    distance_m: Sequence[Sequence[int]] | None = None
    made: Sequence[Made] = ()
    source_rooms: Sequence[Sequence[int]] = ()  # bucket by ship day and node
    weights: tuple[int, int] | None = None  # of shipping and handling, in thousandths; None: no guide

    def order(self, wants: list[Want], ways: list[Way], priority: int = 0, **limits: int) -> World:
        """Add one order; `limits` as in `Asked`."""
        self.orders.append(Asked(wants, ways, priority, **limits))
        return self

    def problem(self) -> Problem:
        """The validated arrays."""
        nodes = len(self.stock[0])
        ways = [way for order in self.orders for way in sorted(order.ways, key=lambda way: way.node)]
        breaks = max((len(curve) for curve in self.curves), default=1)
        table = np.full((2, len(self.curves), breaks), UNLIMITED, np.int64)
        for c, curve in enumerate(self.curves):
            for b, (up_to, price) in enumerate(curve):
                table[0, c, b], table[1, c, b] = up_to, price
        names = [name for name in Options.__slots__ if name != "start"]
        problem = Problem(
            lines=self._lines(nodes),
            options=Options(
                start=np.cumsum([0] + [len(order.ways) for order in self.orders], dtype=np.int64),
                **{name: column(ways, name) for name in names},
            ),
            curves=Curves(up_to_g=table[0], price=table[1]),
            priority=column(self.orders, "priority"),
            stock=self._stock(nodes),
            bucket_parcels=np.array([room[0] for room in self.rooms], np.int64),
            bucket_units=np.array([room[1] for room in self.rooms], np.int64),
            node_rank=np.array(self.node_rank if self.node_rank is not None else [0] * nodes, np.int64),
            distance_m=np.array(self.distance_m, np.int64)
            if self.distance_m is not None
            else np.full((len(self.orders), nodes), UNLIMITED, np.int64),
            derived=self._derived(),
            limits=Limits(
                column(self.orders, "max_parcels"),
                column(self.orders, "complete", np.bool_),
                column(self.orders, "whole_lines", np.bool_),
                column(self.orders, "min_split_value"),
            ),
            source_bucket=np.array(self.source_rooms, np.int64).reshape(-1, nodes),
            modes=tuple(order.mode or self.mode for order in self.orders),
            objective=self.objective,
            guide=None
            if self.weights is None
            else Guide(
                *self.weights,
                rules=column(ways, "rules"),
                balance=column(ways, "balance"),
                stock=np.zeros((len(self.stock) + len(self.made), nodes), np.int64),
                room=np.zeros(len(self.rooms), np.int64),
            ),
        )
        derive(problem, problem.stock)
        problem.validate()
        return problem

    def _lines(self, nodes: int) -> Lines:
        wants = [want for order in self.orders for want in order.wants]
        ways = [[want, *want.instead] for want in wants]
        rows = [row for line in ways for row in line]
        line = np.repeat(np.arange(len(wants)), [len(line) for line in ways])
        sizes = [sum(1 + len(want.instead) for want in order.wants) for order in self.orders]
        eligible = [[row.nodes is None or k in row.nodes for k in range(nodes)] for row in rows]
        return Lines(
            start=np.cumsum([0, *sizes], dtype=np.int64),
            line=line,
            quantity=column(wants, "quantity")[line],
            group=column(wants, "group")[line],
            dated=column(wants, "dated")[line],
            eligible=np.array(eligible, np.bool_).reshape(len(rows), nodes),
            draw=np.cumsum(~column(rows, "same_draw", np.bool_)),
            alone=column(rows, "alone", np.bool_),
            **{
                name: column(rows, name)
                for name in ("item", "weight_g", "volume_mm3", "more_line", "more_unit", "value")
            },
        )

    def _stock(self, nodes: int) -> np.ndarray:
        """Real rows as given; of a derived item with a source, one unit where it may leave, for `derive` to count."""
        virtual = np.zeros((len(self.made), nodes), np.int64)
        for at, made in enumerate(self.made):
            if made.node is not None:
                virtual[at, made.node] = 1
        return np.vstack([np.array(self.stock, np.int64).reshape(-1, nodes), virtual])

    def _derived(self) -> Derived:
        parts = [part for made in self.made for part in made.parts]
        return Derived(
            item=len(self.stock) + np.arange(len(self.made), dtype=np.int64),
            start=np.cumsum([0] + [len(made.parts) for made in self.made], dtype=np.int64),
            part=np.array([part[0] for part in parts], np.int64),
            count=np.array([part[1] for part in parts], np.int64),
            source=np.array([-1 if made.source is None else made.source for made in self.made], np.int64),
        )


def column(rows: Sequence[object], name: str, kind: type = np.int64) -> np.ndarray:
    """One field of every row."""
    return np.array([getattr(row, name) for row in rows], kind)


def with_prices(problem: Problem, seed: int, most: int = 1200, *, refuse: bool = True) -> Problem:
    """The window with random shadow prices of stock, many of them 0, and of room, beside the guide it may have."""
    rng = np.random.default_rng(seed)
    stock = rng.integers(0, most + 1, problem.stock.shape) * rng.integers(0, 2, problem.stock.shape)
    stock[problem.derived.item] = 0
    room = rng.integers(0, most // 2 + 1, problem.bucket_parcels.shape)
    guide = problem.guide
    if guide is None:
        none = np.zeros(len(problem.options.node), np.int64)
        guide = Guide(1000, 1000, none, none, stock, room)
    priced = replace(problem, guide=replace(guide, stock=stock, room=room, prices_refuse=refuse))
    priced.validate()
    return priced


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


FEATURES = (
    *("substitutes", "kits", "docks", "groups", "alone", "dated", "guide"),
    *("max_parcels", "complete", "whole_lines", "min_split_value"),
)
"""What `random_limited_world` adds to a plain window."""

PLACES = 32
"""Loads of one shipment that an order of `random_limited_world` may have: small enough for the referee."""


def random_limited_world(
    seed: int,
    *,
    features: Collection[str] | None = None,
    orders: int | None = None,
    modes: bool = False,
    fill_always: bool | None = None,
    stock: int = 3,
) -> Problem:
    """A window for the referee, of one to three orders with limits, groups, alternatives, kits, docks and guidance.

    `features`: some of `FEATURES`; None rolls one, two or several. `modes`: each order rolls its mode (the referee
    knows only OPTIMISE). The same arguments are the same window.
    """
    dice = _Dice(seed)
    if features is None:
        many = (1, 2, len(FEATURES))[dice.roll(0, 2)]
        features = {FEATURES[at] for at in dice.rng.permutation(len(FEATURES))[:many].tolist()}
    places = _Places(dice, features, stock)
    nodes, days = places.nodes, 2
    orders = orders or dice.roll(1, 3)
    world = World(
        stock=places.stock,
        curves=[[(g, 500 * (b + 1) * dice.roll(1, 4)) for b, g in enumerate((200, 500, 900, 4000))] for _ in range(2)],
        rooms=[(dice.roll(1, 4), dice.roll(1, 6)) for _ in range(days * nodes)],
        objective=Objective(
            fill_always=bool(dice.roll(0, 2)) if fill_always is None else fill_always,
            split_parcel=dice.roll(0, 2) * 400,
            late_per_day=dice.roll(0, 2) * 300,
            unfilled_per_unit=dice.roll(0, 4) * 1500,
        ),
        node_rank=dice.rng.permutation(nodes).tolist(),
        distance_m=dice.rng.integers(0, 9, (orders, nodes)).tolist(),
        made=places.made,
        source_rooms=[[day * nodes + node if dice.chance(2) else -1 for node in range(nodes)] for day in range(days)],
        weights=(dice.roll(0, 4) * 500, dice.roll(0, 4) * 500) if "guide" in features else None,
    )
    priorities = dice.roll(1, 2)
    for order in range(orders):
        wants, fewer = [], dice.roll(1, 3 if orders < 3 else 2)
        room = PLACES
        for _ in range(fewer):
            want, size = places.want(order, room)
            room //= size
            wants.append(want)
        limits: dict[str, int] = {
            "max_parcels": dice.roll(1, 3) if "max_parcels" in features and not dice.chance(3) else UNLIMITED,
            "complete": "complete" in features and dice.chance(2),
            "whole_lines": "whole_lines" in features and not dice.chance(3),
            "min_split_value": dice.roll(1, 8) * 1000 if "min_split_value" in features and not dice.chance(3) else 0,
        }
        mode = list(Mode)[dice.roll(0, len(Mode) - 1)] if modes else None
        world.order(wants, places.ways(guided=world.weights is not None), dice.roll(1, priorities), mode=mode, **limits)
    return world.problem()


class _Dice:
    """Rolls of one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def roll(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def chance(self, one_in: int) -> bool:
        return self.roll(1, one_in) == 1


class _Places:
    """Nodes, docks, stock and derived items of a random window, and what orders can want of them."""

    def __init__(self, dice: _Dice, features: Collection[str], stock: int) -> None:
        self.dice, self.features = dice, features
        self.nodes, self.items = dice.roll(2, 4 if "docks" in features else 3), dice.roll(2, 3)
        self.stock = dice.rng.integers(0, stock + 1, (self.items, self.nodes)).tolist()
        self.weight = [dice.roll(0, 4) * 100 for _ in range(self.items + 2)]
        self.volume = [dice.roll(0, 5) * 1000 for _ in range(self.items + 2)]
        self.value = [dice.roll(0, 4) * 1000 for _ in range(self.items + 2)]
        self.handle_line = [dice.roll(0, 2) * 40 for _ in range(self.nodes)]
        self.handle_unit = [dice.roll(0, 2) * 30 for _ in range(self.nodes)]
        self.made: list[Made] = []
        self.item_of: dict[tuple[tuple[tuple[int, int], ...], int | None], int] = {}
        dock = dice.rng.permutation(self.nodes)[: dice.roll(2, 3)].tolist() if "docks" in features else [0]
        self.first, self.members = dock[0], dock[1:]
        kit = tuple((item, dice.roll(1, 2)) for item in sorted(dice.rng.permutation(self.items)[:2].tolist()))
        self.kits = [kit] if "kits" in features else []

    def item(self, parts: tuple[tuple[int, int], ...], source: int | None) -> int:
        """The row of `Problem.stock` that stands for these parts, drawn at a member of the dock or where it leaves."""
        if source is None and len(parts) == 1 and parts[0][1] == 1:
            return parts[0][0]
        if (parts, source) not in self.item_of:
            self.item_of[parts, source] = self.items + len(self.made)
            self.made.append(Made(parts, source, None if source is None else self.first))
        return self.item_of[parts, source]

    def want(self, order: int, room: int) -> tuple[Want, int]:
        """A line with all ways to supply it, and in how many amounts it can lie in a shipment: at most `room`, or 2."""
        dice, features = self.dice, self.features
        sorts = [((item, 1),) for item in range(self.items)] + self.kits * 2
        chosen = [sorts[dice.roll(0, len(sorts) - 1)]]
        if "substitutes" in features and not dice.chance(3):
            chosen.append(((dice.roll(0, self.items - 1), dice.roll(1, 2)),))
        sources = [None, *(member for member in self.members if not dice.chance(3))]
        quantity = dice.roll(1, 2)
        size = comb(quantity + len(chosen) * len(sources), quantity)
        if size > room:
            chosen, sources, quantity, size = chosen[:1], sources[:1], 1, 2
        rows = [self._row(parts, source, same_draw=at > 0) for source in sources for at, parts in enumerate(chosen)]
        want = rows[0]
        want.instead = rows[1:]
        want.quantity = quantity
        want.group = 2 * order + dice.roll(0, 1) if "groups" in features and not dice.chance(4) else -1
        want.dated = dice.roll(0, quantity) if "dated" in features else 0
        return want, size

    def _row(self, parts: tuple[tuple[int, int], ...], source: int | None, same_draw: bool) -> Want:
        dice = self.dice
        kind = parts[0][0] if len(parts) == 1 else self.items
        everywhere = dice.roll(0, 5) > 0
        row = Want(
            item=self.item(parts, source),
            weight_g=self.weight[kind],
            volume_mm3=self.volume[kind],
            value=self.value[kind],
            alone="alone" in self.features and (kind + self.weight[0] // 100) % 2 == 0,
            nodes=None if everywhere else [k for k in range(self.nodes) if dice.roll(0, 2)],
            same_draw=same_draw,
        )
        if source is not None:
            row.nodes = [self.first]
            row.more_line = self.handle_line[source] - self.handle_line[self.first]
            row.more_unit = self.handle_unit[source] - self.handle_unit[self.first]
        return row

    def ways(self, *, guided: bool) -> list[Way]:
        """The options of one order: none leaves from another node of the dock than its first."""
        dice, found = self.dice, []
        # Guided or not, the term per kilogram is whole mills only where nothing is rounded before it is weighed.
        per_kg = 330 if guided else 333
        for node in range(self.nodes):
            for _ in range(0 if node in self.members else (0, 1, 1, 2)[dice.roll(0, 3)]):
                lane, day = dice.chance(2), dice.roll(0, 1)
                found.append(
                    Way(
                        node=node,
                        curve=-1 if lane else dice.roll(0, 1),
                        ship_parcel=dice.roll(0, 5) * 300 if lane else 0,
                        ship_line=dice.roll(0, 2) * 50 if lane else 0,
                        ship_unit=dice.roll(0, 3) * 77 if lane else 0,
                        ship_per_kg=dice.roll(0, 3) * per_kg if lane else 0,
                        handle_parcel=dice.roll(0, 3) * 100,
                        handle_line=self.handle_line[node],
                        handle_unit=self.handle_unit[node],
                        max_weight_g=UNLIMITED if dice.roll(0, 2) else dice.roll(2, 6) * 100,
                        dim_divisor=0 if dice.chance(2) else dice.roll(2, 9),
                        late_days=dice.roll(0, 2) if dice.chance(2) else 0,
                        bucket=day * self.nodes + node if dice.chance(2) else -1,
                        day=day,
                        rules=dice.roll(0, 2) * 250 if guided else 0,
                        balance=dice.roll(0, 3) * 111 if guided else 0,
                    )
                )
        return found
