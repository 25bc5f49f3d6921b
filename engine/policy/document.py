"""A policy as callers write it, with its defaults. The built-in default is version 1 and applies until one is stored.

Every field has a default, so `{}` is a policy. An empty list means no restriction.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, field

from engine.domain import Country, Identifier, Limits, Money, Record

RULES_MAX = 200
"""The most rules of one policy."""

NAMED_MAX = 2_000
"""The most names in one list of a rule: as many as a network has nodes."""

Price = Annotated[str, Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,3})?$(?!\n)")]
"""Money of a policy: below a million, so that times 2^31 units it still fits into 64 bits of mills."""

Weight = Annotated[float, Meta(ge=0, le=100)] | Annotated[str, Meta(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3})?$(?!\n)")]
"""A factor from 0 to 100, a number or a decimal string, at most three places."""

Names = Annotated[str, Meta(min_length=1, max_length=128)] | Annotated[list[Identifier], Meta(max_length=NAMED_MAX)]
"""One name, or a list of which any may match.

A union of a string with a pattern and a list would crash the decoder (msgspec 0.22 frees memory that is not its own);
a test keeps such types out.
"""

Nodes = Annotated[list[Identifier], Meta(max_length=NAMED_MAX)]
Kinds = list[Literal["dc", "store", "dropship", "3pl"]]
Priority = Annotated[int, Meta(ge=-1_000, le=1_000)]
RoutingMode = Literal["optimise", "sequence", "nearest", "most_stock"]


class ObjectiveTerms(Record, frozen=True, kw_only=True):
    """What is weighed. `fill` "always": as many units as possible first; "economic": only where worth it.

    `shipping` and `handling` multiply these costs when plans are compared, never in a decision's `cost`.
    `balance`: money per parcel at a node whose day is full, less in proportion where it is emptier; guidance, too.
    `stock_price` multiplies the prices of scarce stock and room (see `/v1/prices`), 0 for none; guidance, too: with
    them the choice falls on nodes whose stock is worth less to orders to come. A price says where from, never whether:
    only with `fill` "economic" and `stock_price_refuses` may a unit stay because it is worth more to others.
    """

    fill: Literal["always", "economic"] = "always"
    shipping: Weight = "1"
    handling: Weight = "1"
    split_parcel: Price = "0"
    late_per_day: Price = "5.00"
    unfilled_per_unit: Price = "25.00"
    stock_price: Weight = "1"
    stock_price_refuses: bool = False
    balance: Price = "0"


class WindowTerms(Record, frozen=True, kw_only=True):
    """When a window closes at the latest."""

    max_wait_ms: Annotated[float, Meta(ge=0, le=60_000)] = 10.0
    max_orders: Annotated[int, Meta(ge=1, le=5_000)] = 200


class SolverTerms(Record, frozen=True, kw_only=True):
    """How hard a window is worked on: `work` steps decide, `budget_ms` is the safety cut.

    `gap`: a plan proven this close to the best, as a share of its cost, is good enough.
    """

    work: Annotated[int, Meta(ge=1)] = 20_000_000
    budget_ms: Annotated[int, Meta(ge=1, le=600_000)] = 2_000
    gap: Annotated[float, Meta(ge=0, le=1)] = 0.0005


class ReoptimiseTerms(Record, frozen=True, kw_only=True):
    """Whether orders that are not with their nodes yet are decided again together, and how.

    "dry_run": decided, but nothing moves; only the report tells what would. `every_seconds`: how often each order is
    looked at. `min_saving`: what each order that moves must save, in the mean of those that move together.
    `max_orders`: decided together at most.
    """

    mode: Literal["off", "dry_run", "on"] = "off"
    every_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 300
    min_saving: Price = "0.50"
    max_orders: Annotated[int, Meta(ge=1, le=2_000)] = 200


class PriorityRange(Record, frozen=True, kw_only=True):
    """Order priorities, both ends included; an absent end is open."""

    min: Priority | None = None
    max: Priority | None = None


class ValueRange(Record, frozen=True, kw_only=True):
    """Order values, both ends included; an absent end is open."""

    min: Money | None = None
    max: Money | None = None


class When(Record, frozen=True, kw_only=True):
    """Which orders a rule is for: all that is given must match, and of a list any; nothing given matches every order.

    `region` is compared with the order's `ship_to.region`, and an order without one matches none. `value`: the sum over
    lines of quantity times `unit_price`, else the SKU's catalogue value, else 0. `capability`: what some line's SKU, or
    a component of it, requires.
    """

    channel: Names = field(default_factory=list)
    level: Names = field(default_factory=list)
    priority: PriorityRange = PriorityRange()
    country: Annotated[str, Meta(min_length=2, max_length=2)] | list[Country] = field(default_factory=list)
    region: Names = field(default_factory=list)
    value: ValueRange = ValueRange()
    capability: Names = field(default_factory=list)


class Then(Record, frozen=True, kw_only=True):
    """What a rule does to the orders it is for.

    `nodes`, `kinds`: only nodes that are named or of these kinds may ship. `except_nodes`, `except_kinds`: none of
    these. `limits`: as on orders. `money`: by node, added to each parcel from there when plans are compared, never part
    of a decision's `cost`. `mode`: how these orders are routed.
    A name that is not in the network any more is passed over; a restriction that has no node left leaves none.
    """

    nodes: Nodes = field(default_factory=list)
    kinds: Kinds = field(default_factory=list)
    except_nodes: Nodes = field(default_factory=list)
    except_kinds: Kinds = field(default_factory=list)
    limits: Limits = Limits()
    money: dict[Identifier, Price] = field(default_factory=dict)
    mode: RoutingMode | None = None


class Rule(Record, frozen=True, kw_only=True):
    """Names are unique within a policy; explanations use them."""

    name: Identifier
    when: When = When()
    then: Then = Then()


class Policy(Record, frozen=True, kw_only=True):
    """All of it. `mode` other than "optimise" routes by a rule, as a merchant may want or a baseline needs.

    Every rule that matches an order applies, beside `limits` and the order's own: restrictions to nodes intersect,
    exclusions unite, money adds up, the last `mode` counts, and of limits the strictest: the fewest `max_parcels`, the
    greatest `min_split_value`, `ship_complete` if any asks for it, `split_lines` and `allow_late` only if all allow
    it. `allow_substitutes` is a permission: any may give it.
    `capacity_horizon_days`: how many days later a parcel may leave where its day is full; it must still be paid for if
    it is late then.
    """

    mode: RoutingMode = "optimise"
    objective: ObjectiveTerms = ObjectiveTerms()
    limits: Limits = Limits()
    window: WindowTerms = WindowTerms()
    solver: SolverTerms = SolverTerms()
    capacity_horizon_days: Annotated[int, Meta(ge=0, le=30)] = 0
    reoptimise: ReoptimiseTerms = ReoptimiseTerms()
    rules: Annotated[list[Rule], Meta(max_length=RULES_MAX)] = field(default_factory=list)


def thousandths(weight: float | str) -> int:
    """A weight as an integer: "1.5" -> 1500."""
    return int(Decimal(str(weight)) * 1000)
