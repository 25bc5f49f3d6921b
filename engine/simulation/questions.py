"""Questions that are many scenarios: the price of a policy, of closing each node, what one number trades off, and where
more stock would be worth most.

`asked` adds their scenarios to a simulation, once; `answering` finds the answers by the same names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from engine.documents import refuse
from engine.domain import Limits
from engine.errors import Fault
from engine.policy import Policy
from engine.simulation.faults import require_plain
from engine.simulation.patches import AddStock, CloseNode, DropRule, Patch, PolicyChange
from engine.simulation.patching import setting_of
from engine.simulation.questions_document import PriceOfPolicy, Questions, Sweep, Worth
from engine.simulation.scenario import BASELINE, SCENARIOS_MAX, Scenario, Simulation
from engine.simulation.world import World

NAME_MAX = 128
"""Letters of a scenario's name."""


class Drop(NamedTuple):
    """A policy without a rule or a limit. `what`: the part, "" for all of them."""

    what: str
    scenario: Scenario


def price_of_policy(policy_id: str, policy: Policy) -> list[Drop]:
    """Each rule and each limit of a policy dropped alone, and all of them together: what the baseline pays for each.

    Empty for a policy that has neither.
    """
    found = [
        _drop(f"rule {rule.name}", Patch(drop_rule=DropRule(policy_id=policy_id, name=rule.name)))
        for rule in policy.rules
    ]
    plain = msgspec.structs.asdict(Limits())
    for name, value in msgspec.structs.asdict(policy.limits).items():
        if value != plain[name]:
            merge = PolicyChange(policy_id=policy_id, merge={"limits": {name: None}})
            found.append(_drop(f"limit {name}", Patch(policy=merge)))
    if len(found) > 1:
        free = PolicyChange(policy_id=policy_id, merge={"limits": None, "rules": None})
        found.append(Drop("", Scenario(name="without rules and limits", patches=[Patch(policy=free)])))
    return found


def _drop(what: str, patch: Patch) -> Drop:
    return Drop(what, Scenario(name=_short(f"without {what}"), patches=[patch]))


def closings(world: World, node_ids: Iterable[str] | None = None) -> dict[str, Scenario]:
    """Each active node closed alone, or each of those named."""
    active = [node.node_id for node in world.network.nodes if node.active]
    return {
        node_id: Scenario(name=_short(f"close {node_id}"), patches=[Patch(close_node=CloseNode(node_id=node_id))])
        for node_id in (active if node_ids is None else node_ids)
    }


def sweep(terms: Sweep) -> list[Scenario]:
    """One scenario for each value of a number: the points of a trade-off curve. Raises msgspec.ValidationError for a
    value that the number cannot have."""
    return [
        Scenario(name=_short(f"{terms.name} {plain(value)}"), patches=[_turned(terms, value)]) for value in terms.values
    ]


def plain(value: float) -> str:
    """A number as short as it can be told without loss."""
    return str(int(value)) if value == int(value) else repr(value)


def _turned(terms: Sweep, value: float) -> Patch:
    """The number set to a value, judged as if a caller had written it."""
    number: Any = int(value) if value == int(value) else value
    said: dict[str, Any] = {
        "safety_stock": {"safety_stock": {"units": number}},
        "window": {"window": {"seconds": number}},
        "hold": {"hold": {"hours": number}},
        "max_parcels": {"policy": {"policy_id": terms.policy_id, "merge": {"limits": {"max_parcels": number}}}},
    }[terms.parameter]
    if terms.parameter == "max_parcels":
        msgspec.convert({"max_parcels": number}, Limits)
    return msgspec.convert(said, Patch)


def supplied(world: World, terms: Worth) -> dict[tuple[str, str], Scenario]:
    """By SKU and node: the units lie there from the start."""
    return {
        (sku, node_id): Scenario(
            name=_short(f"{terms.units} {sku} at {node_id}"),
            patches=[Patch(add_stock=AddStock(node_id=node_id, sku=sku, units=terms.units))],
        )
        for sku in terms.skus
        for node_id in places(world, terms)
    }


def places(world: World, terms: Worth) -> list[str]:
    """The nodes where more stock may be worth something."""
    return terms.nodes or [node.node_id for node in world.network.nodes if node.active]


def _short(name: str) -> str:
    """The name itself, or one of the same beginning that is not too long."""
    if len(name) <= NAME_MAX:
        return name
    return f"{name[: NAME_MAX - 9].rstrip()}~{blake2b(name.encode(), digest_size=4).hexdigest()}"


def asked(simulation: Simulation, world: World) -> Simulation:
    """The simulation with a scenario for each answer that its questions need, those that are there already left as
    they are. Raises InvalidInputError with the path of what cannot be asked.

    `world`: what the simulation begins with, as for `prepared`. Simulations are asked once, before all else.
    """
    questions = simulation.questions
    if questions is None:
        return simulation
    require_plain(simulation, world)
    base = setting_of(simulation, BASELINE, world).world
    faults = list(_faults(simulation, questions, base))
    if faults:
        refuse("The simulation asks what cannot be answered.", faults)
    known = {scenario.name: scenario for scenario in simulation.scenarios}
    for path, scenarios in _scenarios(questions, base):
        for scenario in scenarios:
            if known.setdefault(scenario.name, scenario) != scenario:
                reason = f"there is another scenario {scenario.name!r} already: names are unique"
                refuse("Two scenarios have one name.", [Fault(path, reason)])
        if len(known) > SCENARIOS_MAX:
            reason = f"{len(known)} scenarios with this one's; at most {SCENARIOS_MAX}: ask for less of it"
            refuse("The simulation has too many scenarios.", [Fault(path, reason)])
    return msgspec.structs.replace(simulation, scenarios=list(known.values()))


def _scenarios(questions: Questions, base: World) -> Iterator[tuple[str, Sequence[Scenario]]]:
    """What each question needs, by its path."""
    if questions.price_of_policy is not None:
        policy_id = questions.price_of_policy.policy_id
        drops = price_of_policy(policy_id, base.policies[policy_id])
        yield "$.questions.price_of_policy", [drop.scenario for drop in drops]
    if questions.closings:
        yield "$.questions.closings", list(closings(base, _named(questions)).values())
    for k, terms in enumerate(questions.sweeps):
        yield f"$.questions.sweeps[{k}]", sweep(terms)
    if questions.worth is not None and questions.worth.measured:
        yield "$.questions.worth", list(supplied(base, questions.worth).values())


def _named(questions: Questions) -> list[str] | None:
    return None if isinstance(questions.closings, bool) else questions.closings


def closings_of(questions: Questions, base: World) -> dict[str, Scenario]:
    """The closings that were asked for, by node."""
    return closings(base, _named(questions)) if questions.closings else {}


def _faults(simulation: Simulation, questions: Questions, base: World) -> Iterator[Fault]:
    """Names that do not exist and numbers that cannot be."""
    if questions.price_of_policy is not None:
        yield from _policy_faults(questions.price_of_policy, base)
    active = {node.node_id for node in base.network.nodes if node.active}
    for k, node_id in enumerate(_named(questions) or ()):
        if node_id not in active:
            yield Fault(f"$.questions.closings[{k}]", f"there is no active node {node_id!r} in the baseline")
    for k, terms in enumerate(questions.sweeps):
        yield from _sweep_faults(terms, f"$.questions.sweeps[{k}]", base)
    if questions.worth is not None:
        yield from _worth_faults(simulation, questions.worth, base)


def _worth_faults(simulation: Simulation, worth: Worth, base: World) -> Iterator[Fault]:
    active = {node.node_id for node in base.network.nodes if node.active}
    for k, node_id in enumerate(worth.nodes):
        if node_id not in active:
            yield Fault(f"$.questions.worth.nodes[{k}]", f"there is no active node {node_id!r} in the baseline")
    if not simulation.pricing.on or any(p.prices is not None and not p.prices.on for p in simulation.baseline):
        yield Fault("$.questions.worth", "is answered by shadow prices, which are switched off: leave them on")
    known = base.known_skus() | {sku.sku for sku in simulation.skus}
    for k, sku in enumerate(worth.skus):
        if sku not in known:
            yield Fault(f"$.questions.worth.skus[{k}]", f"there is no SKU {sku!r}")
        elif sku in worth.skus[:k]:
            yield Fault(f"$.questions.worth.skus[{k}]", f"{sku!r} stands earlier in the list")


def _policy_faults(terms: PriceOfPolicy, base: World) -> Iterator[Fault]:
    policy = base.policies.get(terms.policy_id)
    if policy is None:
        yield Fault("$.questions.price_of_policy.policy_id", f"there is no policy {terms.policy_id!r}")
    elif not price_of_policy(terms.policy_id, policy):
        reason = f"policy {terms.policy_id!r} has neither rules nor limits: it costs nothing"
        yield Fault("$.questions.price_of_policy", reason)


def _sweep_faults(terms: Sweep, path: str, base: World) -> Iterator[Fault]:
    if terms.parameter == "max_parcels" and terms.policy_id not in base.policies:
        yield Fault(f"{path}.policy_id", f"there is no policy {terms.policy_id!r}")
    for j, value in enumerate(terms.values):
        try:
            _turned(terms, value)
        except msgspec.ValidationError as error:
            yield Fault(f"{path}.values[{j}]", str(error).partition(" - at ")[0])
        if value in terms.values[:j]:
            yield Fault(f"{path}.values[{j}]", "stands earlier in the list")
