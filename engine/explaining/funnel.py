"""Why a node may not serve an order at all: the first stages of the funnel, read off the documents one node at a time.

The windows' own masks (`eligibility`, `lowering`) say the same for thousands of cells at once and give no names; a test
holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from engine.destinations import plain_postal
from engine.domain import Order, Sku
from engine.explaining.document import Obstacle
from engine.network_document import Node
from engine.policy.steering import ORDER_LIMITS, POLICY_LIMITS, Bar


def barriers(order: Order, node: Node, *, rerouted: bool, bars: Iterable[Bar]) -> Iterator[Obstacle]:
    """What stops the whole order at a node, whatever is in it.

    `rerouted`: an earlier re-route excluded the node; `bars`: the limits and rules that keep it out.
    """
    if not node.active:
        yield Obstacle(stage="active", by="node.active", text="it is inactive", change="set it active")
    if rerouted:
        yield Obstacle(
            stage="reroute", by="reroute", text="a re-route of this order excluded it", change="nothing: it is for good"
        )
    yield from _channel(order, node)
    if order.pickup_node is None:
        yield from _destination(order, node)
    elif node.node_id != order.pickup_node:
        yield Obstacle(
            stage="pickup",
            by="order.pickup_node",
            text=f"the order is picked up at {order.pickup_node}",
            change="choose it as pickup_node",
        )
    for bar in bars:
        yield Obstacle(
            stage="limits" if bar.by in (ORDER_LIMITS, POLICY_LIMITS) else "rule",
            by=f"{bar.by}: {bar.field}",
            text=f"{bar.by} ({bar.field}) leave it out" if bar.by == ORDER_LIMITS else f"{bar.by!r} leaves it out",
            change=f"change {bar.field} of {bar.by}",
        )


def _channel(order: Order, node: Node) -> Iterator[Obstacle]:
    if node.channels and order.channel not in node.channels:
        yield Obstacle(
            stage="channel",
            by="node.channels",
            text=f"it serves {_listed(node.channels)}, not the channel {order.channel!r}",
            change=f"add {order.channel!r} to its channels",
        )


def _destination(order: Order, node: Node) -> Iterator[Obstacle]:
    to, serves = order.ship_to, node.serves
    if serves.countries and to.country not in serves.countries:
        yield Obstacle(
            stage="serves",
            by="node.serves.countries",
            text=f"it serves {_listed(serves.countries)}, not {to.country}",
            change=f"add {to.country} to the countries it serves",
        )
    postal = None if to.postal_code is None else plain_postal(to.postal_code)
    if serves.postal_prefixes and (postal is None or not postal.startswith(_plain(serves.postal_prefixes))):
        yield Obstacle(
            stage="serves",
            by="node.serves.postal_prefixes",
            text=f"it serves only postal codes that begin with {_listed(serves.postal_prefixes)}",
            change="add the order's postal prefix to those it serves",
        )
    if postal is not None and postal.startswith(_plain(serves.except_postal_prefixes)):
        yield Obstacle(
            stage="serves",
            by="node.serves.except_postal_prefixes",
            text=f"it does not serve postal codes that begin with {_listed(serves.except_postal_prefixes)}",
            change="take the order's postal prefix from those it does not serve",
        )


def lacking(order: Order, node: Node, items: Mapping[str, Sku]) -> Iterator[Obstacle]:
    """What stops single lines at a node: capabilities that their goods require. Kits require what their parts do."""
    for line in order.lines:
        missing = [name for name in required(line.sku, items) if name not in node.capabilities]
        if missing:
            yield Obstacle(
                stage="capability",
                by="node.capabilities",
                text=f"{line.sku} requires {_listed(missing)}",
                change=f"give it the capability {_listed(missing)}",
                line_id=line.line_id,
            )


def required(sku: str, items: Mapping[str, Sku]) -> tuple[str, ...]:
    """The capabilities that a SKU requires, those of its components included."""
    entry = items.get(sku)
    if entry is None:
        return ()
    parts = [items[part.sku] for part in entry.components if part.sku in items]
    return tuple(dict.fromkeys(name for each in (entry, *parts) for name in each.requires))


def _plain(prefixes: list[str]) -> tuple[str, ...]:
    return tuple(plain_postal(prefix) for prefix in prefixes)


def _listed(names: list[str]) -> str:
    return ", ".join(names)
