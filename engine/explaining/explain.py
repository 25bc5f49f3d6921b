"""One decision, explained: what every node would have meant for the order, on what the others of its window left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from engine.deciding import decide
from engine.decisions import Cost, Decision, Guidance, Parcel
from engine.domain import Order, decimal, mills
from engine.explaining.document import Explanation, Kept, NodeView, Obstacle, PlanView, PolicyView
from engine.explaining.funnel import barriers, lacking
from engine.explaining.scene import Scene, only
from engine.explaining.stock import Shelf
from engine.ledger.port import Row, Snapshot
from engine.lowering import WindowInput, lower
from engine.policy.document import ObjectiveTerms, thousandths
from engine.policy.steering import Steering, steer
from engine.promise import to_date

NODES_PRICED = 300
"""Nodes for which the order is planned as if it shipped from there alone, by their order in the network."""

_decoder = msgspec.json.Decoder(Decision)


def explain(window: WindowInput, order_id: str, decision: bytes, *, now: Callable[[], float]) -> Explanation:
    """Explain the `decision` of an order of this window. `now` in seconds, for the solver's safety cut only.

    In a window that filled what waited, the order is what it missed, and explained is what was added to it; in one that
    decided standing orders again, it is what they ship.

    Raises KeyError if the order is not of the window.
    """
    at = {order.order_id: index for index, order in enumerate(window.orders)}[order_id]
    proposals = decide(window, now=now).proposals
    chosen, again = _decoder.decode(decision), _decoder.decode(proposals[at].decision)
    reproduced = _untimed(chosen) == _untimed(again)
    if window.in_turn or window.as_shipping:
        reproduced = _ends_with(chosen, again)
        chosen = again if reproduced else chosen
    others = [proposal for index, proposal in enumerate(proposals) if index != at]
    left = only(window, at, others)
    order, policy = window.orders[at], window.policy
    steering = steer(policy, (order,), window.network, window.items)
    return Explanation(
        order_id=order_id,
        as_of=datetime.fromtimestamp(window.snapshot.at_ms / 1000, UTC),
        window=chosen.window,
        policy=PolicyView(
            policy_id=order.policy_id,
            version=chosen.window.policy_version,
            mode=steering.modes[0].value,
            rules=steering.matched[0],
        ),
        reproduced=reproduced,
        chosen=plan_view(order, chosen, chosen),
        alone=plan_view(order, Scene(only(window, at), now).decided(), chosen),
        nodes=tuple(node_views(left, chosen, steering, now)),
    )


def plan_view(order: Order, plan: Decision, chosen: Decision) -> PlanView:
    """A plan of an order beside the one that was chosen."""
    missing = sum(short.quantity for short in plan.unallocated) + sum(each.quantity for each in plan.backordered)
    return PlanView(
        units=sum(line.quantity for line in order.lines) - missing,
        parcels=plan.parcels,
        unallocated=plan.unallocated,
        backordered=plan.backordered,
        cost=plan.cost,
        guidance=plan.guidance,
        difference=decimal(mills(plan.cost.total) - mills(chosen.cost.total)),
    )


def _untimed(plan: Decision) -> Decision:
    window = msgspec.structs.replace(plan.window, window_id="", waited_ms=0.0, solve_ms=0.0)
    return msgspec.structs.replace(plan, window=window)


def _ends_with(whole: Decision, part: Decision) -> bool:
    """Whether what an order has now ends with the parcels of a decision on what it missed before."""
    parcels = whole.parcels[max(0, len(whole.parcels) - len(part.parcels)) :]
    return [_unnumbered(parcel) for parcel in parcels] == [_unnumbered(parcel) for parcel in part.parcels]


def _unnumbered(parcel: Parcel) -> Parcel:
    return msgspec.structs.replace(parcel, parcel_id="")


def node_views(
    window: WindowInput, chosen: Decision, steering: Steering, now: Callable[[], float]
) -> Iterator[NodeView]:
    """Every node of the network, in its order. `window` holds just the one order, on what the others left."""
    order, network = window.orders[0], window.network
    scene = Scene(window, now)
    shelf = Shelf(scene.lowered, lower(replace(window, snapshot=_unheld(window.snapshot))))
    rerouted = window.again.excluded if window.again is not None else ()
    documents = {node.node_id: node for node in network.document.nodes}
    leads = scene.lowered.places.leads()[0]
    used = {parcel.node_id for parcel in chosen.parcels}
    used |= {line.node_id for parcel in chosen.parcels for line in parcel.lines if line.node_id is not None}
    priced = 0
    kept = kept_at(window)
    for index, node_id in enumerate(network.node_ids):
        node = documents[node_id]
        barred = list(
            barriers(order, node, rerouted=node_id in rerouted, bars=[b for b in steering.bars[0] if b.nodes[index]])
        )
        missing = [] if barred else list(lacking(order, node, window.items))
        eligible = not barred and len(missing) < len(order.lines)
        obstacles = [*barred, *missing]
        plan = None
        if eligible and leads[index]:
            obstacles += shelf.obstacles(index)
            if priced < NODES_PRICED and (scene.lowered.problem.options.node == index).any():
                found = scene.from_nodes([index])
                plan = plan_view(order, found, chosen) if found.parcels else None
                priced += 1
        picked = node_id in used
        yield NodeView(
            node_id=node_id,
            eligible=eligible,
            chosen=picked,
            obstacles=tuple(obstacles),
            plan=plan,
            change="" if picked else _change(window, obstacles, plan, chosen, lead=bool(leads[index])),
            kept=kept.get(node_id, ()),
        )


def kept_at(window: WindowInput) -> dict[str, tuple[Kept, ...]]:
    """By node, the goods of a window, and the room, that the price sheet wants kept there, and for whom."""
    weight = thousandths(window.policy.objective.stock_price)
    found: dict[str, tuple[Kept, ...]] = {}
    sheet = window.prices if weight else None
    if sheet is None:
        return found
    for sku in sheet.stock:
        for keep in sheet.keeps(sku):
            node_id = window.network.node_id_of(keep.node)
            if node_id is None:
                continue
            text = f"kept for {keep.for_zone or 'orders to come'}, where it is expected to save {decimal(keep.mills)}"
            price = decimal(keep.mills * weight // 1000)
            found[node_id] = (*found.get(node_id, ()), Kept(sku=sku, price=price, text=text))
    for room in sheet.room:
        node_id = window.network.node_id_of(room.node)
        if node_id is None:
            continue
        text = f"kept on {to_date(room.day)} for orders to come, where it is expected to save {decimal(room.mills)}"
        kept = Kept(sku=None, price=decimal(room.mills * weight // 1000), text=text)
        found[node_id] = (*found.get(node_id, ()), kept)
    return found


def _unheld(snapshot: Snapshot) -> Snapshot:
    """The snapshot as if nobody held anything."""
    rows = []
    for row in snapshot.rows:
        slots = row.slots.copy()
        slots["held"] = 0
        rows.append(Row(row.gain, slots))
    return replace(snapshot, rows=tuple(rows))


def _change(
    window: WindowInput, obstacles: list[Obstacle], plan: PlanView | None, chosen: Decision, *, lead: bool
) -> str:
    """What would have to change for a node to be the choice."""
    order, weights = window.orders[0], window.policy.objective
    if obstacles:
        return "; ".join(dict.fromkeys(obstacle.change for obstacle in obstacles))
    if not lead:
        return "its stock leaves with the first node of its dock"
    if plan is None:
        return "nothing ships from here alone under the order's limits"
    if plan.units < plan_view(order, chosen, chosen).units:
        return f"it ships {plan.units} of {sum(line.quantity for line in order.lines)} units alone"
    more = _steered(plan.cost, plan.guidance, weights) - _steered(chosen.cost, chosen.guidance, weights)
    if more > 0:
        return f"its plan would have to cost {decimal(more)} less"
    if more == 0:
        return "nothing but the order of ties: it costs the same"
    return f"it would save {decimal(-more)}: the window's search did not find it"


def _steered(cost: Cost, guidance: Guidance, weights: ObjectiveTerms) -> int:
    """What plans are compared by: the cost, shipping and handling weighted, and the guidance; mills."""
    weighted = mills(cost.shipping) * thousandths(weights.shipping) + mills(cost.handling) * thousandths(
        weights.handling
    )
    plain = (cost.split, cost.late, cost.unfilled, guidance.rules, guidance.balance, guidance.stock_price)
    return weighted // 1000 + sum(mills(money) for money in plain)
