"""What a policy means for the orders of a window: nodes that may ship, money that guides, modes and limits.

Orders that the same rules are for, and that limit themselves alike, share one stance; it is worked out once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.domain import Limits, Order, Sku, mills
from engine.network import Network
from engine.policy.document import Policy, Then
from engine.policy.rules import matches
from solvers.problem import Bools, Ints, Mode

Number = TypeVar("Number", np.bool_, np.int64)

NO_LIMITS = Limits()
POLICY_LIMITS = "policy limits"
ORDER_LIMITS = "order limits"


class Bar(NamedTuple):
    """Nodes that may not ship an order, bool[N], and why: `by` a rule's name or one of the two above, and its field."""

    by: str
    field: str
    nodes: Bools


class Steering(NamedTuple):
    """The steering of O orders over N nodes; arrays may be shared and must not be written to.

    `allowed` bool[O, N]: neither the order's limits nor the policy's nor a rule keeps the node out.
    `money` int64[O, N]: mills for each parcel from there.
    `limits`: the order's, the policy's and its rules' joined, except for their nodes, which are in `allowed` (both
    lists are empty here). `matched`: names of the rules that are for the order.
    `bars`: all that keeps nodes out, in the order policy, rules, order.
    """

    allowed: Bools
    money: Ints
    modes: tuple[Mode, ...]
    limits: tuple[Limits, ...]
    matched: tuple[tuple[str, ...], ...]
    bars: tuple[tuple[Bar, ...], ...]

    def excluded(self, order: int) -> dict[int, str]:
        """Who keeps each node out that may not ship an order: the first of its bars."""
        by: dict[int, str] = {}
        for bar in reversed(self.bars[order]):
            by.update(dict.fromkeys(np.flatnonzero(bar.nodes).tolist(), bar.by))
        return by


class _Stance(NamedTuple):
    """The steering of one order."""

    allowed: Bools
    money: Ints
    mode: Mode
    limits: Limits
    matched: tuple[str, ...]
    bars: tuple[Bar, ...]


def steer(policy: Policy, orders: Sequence[Order], network: Network, items: Mapping[str, Sku]) -> Steering:
    """The steering of a window. `items`: the catalogue entries known of its SKUs and their components."""
    places = Places(network)
    rules_of = matches(policy.rules, orders, items) if policy.rules else [0] * len(orders)
    by_rules: dict[int, _Stance] = {}
    place_of: dict[tuple[object, ...], int] = {}
    stances: list[_Stance] = []
    index = np.zeros(len(orders), np.int64)
    for o, (order, bits) in enumerate(zip(orders, rules_of, strict=True)):
        limits = order.limits
        key = (bits,) if limits == NO_LIMITS else (bits, *_told(limits))
        place = place_of.get(key)
        if place is None:
            stance = by_rules.get(bits)
            if stance is None:
                stance = by_rules[bits] = _of_rules(policy, bits, places)
            place = place_of[key] = len(stances)
            stances.append(stance if len(key) == 1 else _of_order(stance, limits, places))
        index[o] = place
    return Steering(
        allowed=_rows([stance.allowed for stance in stances], index, places),
        money=_rows([stance.money for stance in stances], index, places),
        modes=tuple(stances[k].mode for k in index),
        limits=tuple(stances[k].limits for k in index),
        matched=tuple(stances[k].matched for k in index),
        bars=tuple(stances[k].bars for k in index),
    )


def joined(one: Limits, other: Limits) -> Limits:
    """What keeps both, nodes left out (see `Policy`). Every default is neutral."""
    most = [limits.max_parcels for limits in (one, other) if limits.max_parcels is not None]
    least = [limits.min_split_value for limits in (one, other) if limits.min_split_value is not None]
    return Limits(
        max_parcels=min(most, default=None),
        ship_complete=one.ship_complete or other.ship_complete,
        split_lines=one.split_lines and other.split_lines,
        min_split_value=max(least, key=mills, default=None),
        allow_late=one.allow_late and other.allow_late,
        allow_substitutes=one.allow_substitutes or other.allow_substitutes,
    )


class Places:
    """The nodes of a network, as masks bool[N]."""

    def __init__(self, network: Network | None) -> None:
        """None: there is no network yet, and so no node."""
        self._network = network
        self._ids = network.node_ids if network is not None else ()
        self.count = len(self._ids)

    @cached_property
    def _index(self) -> dict[str, int]:
        """Of many nodes a millisecond's work, which windows without rules or limits on nodes are spared."""
        return {node_id: n for n, node_id in enumerate(self._ids)}

    @cached_property
    def _kinds(self) -> list[str]:
        kind = {node.node_id: node.kind for node in self._network.document.nodes} if self._network is not None else {}
        return [kind[node_id] for node_id in self._ids]

    def index(self, node_id: str) -> int | None:
        """A node's index, None if the network does not have it."""
        return self._index.get(node_id)

    def named(self, node_ids: Sequence[str], kinds: Sequence[str] = ()) -> Bools:
        """Nodes that are named or of one of these kinds."""
        mask = np.zeros(self.count, np.bool_)
        mask[[self._index[node_id] for node_id in node_ids if node_id in self._index]] = True
        if kinds:
            mask |= np.array([kind in kinds for kind in self._kinds], np.bool_)
        return mask


def bars_of(then: Then, by: str, places: Places) -> Iterator[Bar]:
    """What a rule keeps out. A restriction whose nodes have all left the network leaves none."""
    if then.nodes or then.kinds:
        yield Bar(by, "then.nodes" if then.nodes else "then.kinds", ~places.named(then.nodes, then.kinds))
    if then.except_nodes or then.except_kinds:
        yield Bar(
            by,
            "then.except_nodes" if then.except_nodes else "then.except_kinds",
            places.named(then.except_nodes, then.except_kinds),
        )
    yield from _bars_of_limits(then.limits, by, "then.limits", places)


def bars_of_policy(policy: Policy, places: Places) -> Iterator[Bar]:
    """What a policy's limits keep out."""
    return _bars_of_limits(policy.limits, POLICY_LIMITS, "limits", places)


def _bars_of_limits(limits: Limits, by: str, field: str, places: Places) -> Iterator[Bar]:
    if limits.nodes:
        yield Bar(by, f"{field}.nodes", ~places.named(limits.nodes))
    if limits.except_nodes:
        yield Bar(by, f"{field}.except_nodes", places.named(limits.except_nodes))


def _of_rules(policy: Policy, bits: int, places: Places) -> _Stance:
    """The stance of orders without limits of their own."""
    rules = [rule for r, rule in enumerate(policy.rules) if bits >> r & 1]
    bars = [*bars_of_policy(policy, places), *(bar for rule in rules for bar in bars_of(rule.then, rule.name, places))]
    limits = joined(policy.limits, NO_LIMITS)
    mode = policy.mode
    money = np.zeros(places.count, np.int64)
    for rule in rules:
        limits = joined(limits, rule.then.limits)
        mode = rule.then.mode or mode
        for node_id, amount in rule.then.money.items():
            if (n := places.index(node_id)) is not None:
                money[n] += mills(amount)
    names = tuple(rule.name for rule in rules)
    return _Stance(left(bars, places), money, Mode(mode), limits, names, tuple(bars))


def _of_order(stance: _Stance, limits: Limits, places: Places) -> _Stance:
    """The stance of orders that limit themselves, too."""
    bars = (*stance.bars, *_bars_of_limits(limits, ORDER_LIMITS, "limits", places))
    return stance._replace(allowed=left(bars, places), limits=joined(stance.limits, limits), bars=bars)


def left(bars: Sequence[Bar], places: Places) -> Bools:
    """Nodes that nothing keeps out."""
    left = np.ones(places.count, np.bool_)
    for bar in bars:
        left &= ~bar.nodes
    return left


def _told(limits: Limits) -> tuple[object, ...]:
    """All of an order's limits, to compare."""
    return (
        limits.max_parcels, limits.ship_complete, limits.split_lines, tuple(limits.nodes), tuple(limits.except_nodes),
        limits.min_split_value, limits.allow_late, limits.allow_substitutes,
    )  # fmt: skip


def _rows(stances: Sequence[NDArray[Number]], index: Ints, places: Places) -> NDArray[Number]:
    """The rows of orders from those of their stances; one stance for all is shown, not copied."""
    if len(stances) == 1:
        return np.broadcast_to(stances[0], (len(index), places.count))
    return np.array(stances).reshape(len(stances), places.count)[index]
