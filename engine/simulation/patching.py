"""A world and a scenario's patches to what a run is run on. Pure; the product's own documents judge the outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct, field

from engine.documents import fault_of, merge, refuse
from engine.domain import UNITS_MAX, StockRow
from engine.errors import Fault, InvalidInputError
from engine.network_document import Capacity, Carrier, Node, semantic_faults
from engine.policy import Policy
from engine.simulation import patches
from engine.simulation.patches import Patch, Strike
from engine.simulation.scenario import BASELINE, Pricing, Replenishment, Simulation
from engine.simulation.world import World


class Setting(Struct, frozen=True, kw_only=True):
    """All that a run depends on, but for its orders and `demand_factor` times more of them.

    `priced_skus`: those whose shadow prices are told.
    `window_ms`: how long windows stay open; None: as the policies say. `hold_ms`: how long orders may still move.
    """

    world: World
    pricing: Pricing
    replenishment: Replenishment = Replenishment()
    demand_factor: float = 1.0
    window_ms: int | None = None
    hold_ms: int | None = None
    strikes: tuple[Strike, ...] = field(default_factory=tuple)
    priced_skus: tuple[str, ...] = ()


def setting_of(simulation: Simulation, name: str, world: World) -> Setting:
    """What the named scenario is run on. Raises InvalidInputError with the paths of what cannot be."""
    setting = Setting(world=world, pricing=simulation.pricing, replenishment=simulation.stock.replenishment)
    worth = None if simulation.questions is None else simulation.questions.worth
    if name == BASELINE and worth is not None:
        setting = msgspec.structs.replace(setting, priced_skus=tuple(worth.skus))
    common = [(f"$.baseline[{k}]", patch) for k, patch in enumerate(simulation.baseline)]
    own: list[tuple[str, Patch]] = []
    for s, scenario in enumerate(simulation.scenarios):
        if scenario.name == name:
            own = [(f"$.scenarios[{s}].patches[{k}]", patch) for k, patch in enumerate(scenario.patches)]
    for path, patch in [*common, *own]:
        setting = patched(setting, patch, path)
    return setting


def patched(setting: Setting, patch: Patch, path: str = "$") -> Setting:
    """The setting after one patch. Raises InvalidInputError with paths below `path`."""
    [(name, change)] = patch.said().items()
    return _WAYS[name](setting, change, f"{path}.{name}")


def _close_node(setting: Setting, change: patches.CloseNode, path: str) -> Setting:
    return _with_node(setting, change.node_id, path, active=False)


def _add_node(setting: Setting, change: patches.AddNode, path: str) -> Setting:
    world = setting.world
    if change.node.node_id in world.node_ids():
        refuse("A node cannot be added twice.", [Fault(f"{path}.node.node_id", "there is such a node already")])
    rows = tuple(StockRow(node_id=change.node.node_id, sku=each.sku, on_hand=each.on_hand) for each in change.stock)
    nodes = [*world.network.nodes, change.node]
    return _with_network(setting, path, nodes=nodes, stock=world.stock + rows)


def _capacity(setting: Setting, change: patches.NodeCapacity, path: str) -> Setting:
    known = _node(setting, change.node_id, path).capacity
    fields = {name: value for name, value in _given(change).items() if name != "node_id"}
    return _with_node(setting, change.node_id, path, capacity=Capacity(**(msgspec.structs.asdict(known) | fields)))


def _cutoff(setting: Setting, change: patches.NodeCutoff, path: str) -> Setting:
    fields = {name: value for name, value in _given(change).items() if name != "node_id"}
    return _with_node(setting, change.node_id, path, **fields)


def _add_stock(setting: Setting, change: patches.AddStock, path: str) -> Setting:
    _node(setting, change.node_id, path)
    if change.sku not in setting.world.known_skus():
        refuse("The patch names a SKU that does not exist.", [Fault(f"{path}.sku", f"there is no SKU {change.sku!r}")])
    rows = {(row.node_id, row.sku): row for row in setting.world.stock}
    cell = change.node_id, change.sku
    there = rows.get(cell) or StockRow(node_id=change.node_id, sku=change.sku, on_hand=0)
    if there.on_hand + change.units > UNITS_MAX:
        refuse(
            "A cell cannot hold so much.", [Fault(f"{path}.units", f"more than {UNITS_MAX:,} units with those there")]
        )
    rows[cell] = msgspec.structs.replace(there, on_hand=there.on_hand + change.units)
    return _replaced(setting, stock=tuple(rows.values()))


def _rate_card(setting: Setting, change: Carrier, path: str) -> Setting:
    carriers = setting.world.network.carriers
    others = [card for card in carriers if (card.carrier, card.service) != (change.carrier, change.service)]
    return _with_network(setting, path, carriers=[*others, change])


def _surcharge(setting: Setting, change: patches.CardSurcharge, path: str) -> Setting:
    _require_service(setting, change.carrier, change.service, path)
    carriers = [
        msgspec.structs.replace(card, surcharge_percent=change.surcharge_percent)
        if card.carrier == change.carrier and change.service in (None, card.service)
        else card
        for card in setting.world.network.carriers
    ]
    return _with_network(setting, path, carriers=carriers)


def _safety_stock(setting: Setting, change: patches.SafetyStock, path: str) -> Setting:
    if change.node_id is not None:
        _node(setting, change.node_id, path)
    skus = frozenset(change.skus)
    rows = tuple(
        msgspec.structs.replace(row, safety=change.units)
        if change.node_id in (None, row.node_id) and (not skus or row.sku in skus)
        else row
        for row in setting.world.stock
    )
    return _replaced(setting, stock=rows)


def _policy(setting: Setting, change: patches.PolicyChange, path: str) -> Setting:
    known = _policy_of(setting, change.policy_id, path)
    merged = merge(msgspec.to_builtins(known), change.merge, [])
    try:
        policy = msgspec.convert(merged, Policy)
    except msgspec.ValidationError as error:
        refuse("The merged policy is not one.", [fault_of(error, f"{path}.merge")])
    return _with_policy(setting, change.policy_id, policy)


def _drop_rule(setting: Setting, change: patches.DropRule, path: str) -> Setting:
    known = _policy_of(setting, change.policy_id, path)
    rules = [rule for rule in known.rules if rule.name != change.name]
    if len(rules) == len(known.rules):
        reason = f"policy {change.policy_id!r} has no rule {change.name!r}"
        refuse("There is no such rule.", [Fault(f"{path}.name", reason)])
    return _with_policy(setting, change.policy_id, msgspec.structs.replace(known, rules=rules))


def _window(setting: Setting, change: patches.WindowLength, path: str) -> Setting:  # noqa: ARG001
    if change.seconds is not msgspec.UNSET:
        setting = msgspec.structs.replace(setting, window_ms=round(change.seconds * 1000))
    if change.max_orders is not msgspec.UNSET:
        policies = {
            policy_id: msgspec.structs.replace(
                policy, window=msgspec.structs.replace(policy.window, max_orders=change.max_orders)
            )
            for policy_id, policy in setting.world.policies.items()
        }
        setting = _replaced(setting, policies=policies)
    return setting


def _hold(setting: Setting, change: patches.Hold, path: str) -> Setting:  # noqa: ARG001
    policies = {
        policy_id: msgspec.structs.replace(policy, reoptimise=msgspec.structs.replace(policy.reoptimise, mode="on"))
        for policy_id, policy in setting.world.policies.items()
    }
    held = _replaced(setting, policies=policies) if change.hours else setting
    return msgspec.structs.replace(held, hold_ms=round(change.hours * 3_600_000))


def _prices(setting: Setting, change: patches.Prices, path: str) -> Setting:  # noqa: ARG001
    return msgspec.structs.replace(setting, pricing=msgspec.structs.replace(setting.pricing, on=change.on))


def _strike(setting: Setting, change: Strike, path: str) -> Setting:
    _require_service(setting, change.carrier, change.service, path)
    if change.until <= change.since:
        refuse("A strike ends after it begins.", [Fault(f"{path}.until", "not after `since`")])
    return msgspec.structs.replace(setting, strikes=(*setting.strikes, change))


def _demand_factor(setting: Setting, change: float, path: str) -> Setting:  # noqa: ARG001
    return msgspec.structs.replace(setting, demand_factor=setting.demand_factor * change)


def _move_stock(setting: Setting, change: patches.MoveStock, path: str) -> Setting:
    for end in ("from_node", "to_node"):
        _node(setting, getattr(change, end), path, end)
    skus = frozenset(change.skus)
    moved: dict[str, int] = {}
    rows: dict[tuple[str, str], StockRow] = {}
    for row in setting.world.stock:
        if row.node_id == change.from_node and (not skus or row.sku in skus):
            moved[row.sku] = int(row.on_hand * change.share)
            row = msgspec.structs.replace(row, on_hand=row.on_hand - moved[row.sku])
        rows[row.node_id, row.sku] = row
    for sku, units in moved.items():
        there = rows.get((change.to_node, sku)) or StockRow(node_id=change.to_node, sku=sku, on_hand=0)
        rows[change.to_node, sku] = msgspec.structs.replace(there, on_hand=there.on_hand + units)
    return _replaced(setting, stock=tuple(rows.values()))


_WAYS: dict[str, Callable[[Setting, Any, str], Setting]] = {
    "close_node": _close_node,
    "add_node": _add_node,
    "capacity": _capacity,
    "cutoff": _cutoff,
    "rate_card": _rate_card,
    "surcharge": _surcharge,
    "safety_stock": _safety_stock,
    "policy": _policy,
    "drop_rule": _drop_rule,
    "window": _window,
    "hold": _hold,
    "prices": _prices,
    "strike": _strike,
    "demand_factor": _demand_factor,
    "move_stock": _move_stock,
    "add_stock": _add_stock,
}


def without_carrier(world: World, strikes: tuple[Strike, ...]) -> World:
    """The world while these strikes last."""
    off = {
        (card.carrier, card.service)
        for card in world.network.carriers
        for strike in strikes
        if card.carrier == strike.carrier and strike.service in (None, card.service)
    }
    going = {card.service for card in world.network.carriers if (card.carrier, card.service) not in off}
    stopped = {service for _, service in off} - going
    network = msgspec.structs.replace(
        world.network,
        carriers=[card for card in world.network.carriers if (card.carrier, card.service) not in off],
        lanes=[lane for lane in world.network.lanes if lane.service not in stopped],
    )
    return msgspec.structs.replace(world, network=network)


def _given(change: Struct) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET}


def _node(setting: Setting, node_id: str, path: str, name: str = "node_id") -> Node:
    found = next((node for node in setting.world.network.nodes if node.node_id == node_id), None)
    if found is None:
        refuse(
            "The patch names a node that does not exist.", [Fault(f"{path}.{name}", f"there is no node {node_id!r}")]
        )
    return found


def _policy_of(setting: Setting, policy_id: str, path: str) -> Policy:
    if policy_id not in setting.world.policies:
        reason = f"there is no policy {policy_id!r}"
        refuse("The patch names a policy that does not exist.", [Fault(f"{path}.policy_id", reason)])
    return setting.world.policies[policy_id]


def _require_service(setting: Setting, carrier: str, service: str | None, path: str) -> None:
    cards = [card for card in setting.world.network.carriers if card.carrier == carrier]
    if not cards:
        refuse("The patch names a carrier that does not exist.", [Fault(f"{path}.carrier", f"no carrier {carrier!r}")])
    if service is not None and service not in {card.service for card in cards}:
        reason = f"carrier {carrier!r} has no service {service!r}"
        refuse("The patch names a service that does not exist.", [Fault(f"{path}.service", reason)])


def _with_node(setting: Setting, node_id: str, path: str, **fields: Any) -> Setting:
    known = _node(setting, node_id, path)
    node = msgspec.structs.replace(known, **fields)
    return _with_network(setting, path, nodes=[node if each is known else each for each in setting.world.network.nodes])


def _with_network(setting: Setting, path: str, stock: tuple[StockRow, ...] | None = None, **fields: Any) -> Setting:
    """With other parts of the network, which the network's own rules judge."""
    network = msgspec.structs.replace(setting.world.network, **fields)
    if faults := semantic_faults(network):
        told = [Fault(path, f"{fault.path.removeprefix('$.')}: {fault.reason}") for fault in faults]
        raise InvalidInputError("The patched network contradicts itself.", told)
    return _replaced(setting, network=network, stock=setting.world.stock if stock is None else stock)


def _with_policy(setting: Setting, policy_id: str, policy: Policy) -> Setting:
    return _replaced(setting, policies=setting.world.policies | {policy_id: policy})


def _replaced(setting: Setting, **fields: Any) -> Setting:
    return msgspec.structs.replace(setting, world=msgspec.structs.replace(setting.world, **fields))
