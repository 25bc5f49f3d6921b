"""What an order would get now, and what else there is. Nothing is held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from engine.decisions import Decision
from engine.domain import mills
from engine.explaining.document import Alternative, Quote
from engine.explaining.explain import plan_view
from engine.explaining.scene import Scene
from engine.lowering import WindowInput

ALTERNATIVES = 5
"""Told of each quote at most."""

SINGLE_NODES = 100
"""Nodes looked at for a plan of their own, by their order in the network."""


def quote(window: WindowInput, *, now: Callable[[], float]) -> Quote:
    """Quote the one order of a window, with other plans ranked by units shipped, then cost."""
    order, scene = window.orders[0], Scene(window, now)
    chosen = scene.decided()
    known = {_told(chosen)}
    found: list[Alternative] = []
    for without, single, plan in _others(scene, chosen):
        if plan.parcels and _told(plan) not in known:
            known.add(_told(plan))
            found.append(Alternative(without=without, only=single, plan=plan_view(order, plan, chosen)))
    ranked = sorted(found, key=lambda one: (-one.plan.units, mills(one.plan.cost.total)))
    return Quote(
        order_id=order.order_id,
        as_of=datetime.fromtimestamp(window.snapshot.at_ms / 1000, UTC),
        status=chosen.status,
        chosen=plan_view(order, chosen, chosen),
        alternatives=tuple(ranked[:ALTERNATIVES]),
    )


def _others(scene: Scene, chosen: Decision) -> Iterator[tuple[str | None, str | None, Decision]]:
    """(left out, alone, plan): without each node of the plan, and from each node alone."""
    network, problem = scene.lowered.window.network, scene.lowered.problem
    index = {node_id: n for n, node_id in enumerate(network.node_ids)}
    nodes = sorted(set(problem.options.node.tolist()))
    for node_id in dict.fromkeys(parcel.node_id for parcel in chosen.parcels):
        yield node_id, None, scene.from_nodes([node for node in nodes if node != index[node_id]])
    for node in nodes[:SINGLE_NODES]:
        yield None, network.node_ids[node], scene.from_nodes([node])


def _told(plan: Decision) -> tuple[object, ...]:
    """What makes two plans the same to a reader."""
    return tuple((parcel.node_id, parcel.carrier, parcel.service, parcel.lines) for parcel in plan.parcels)
