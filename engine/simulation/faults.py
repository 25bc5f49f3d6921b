"""Everything that is wrong with a simulation, found before anything is made: each with its JSON path and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

import msgspec

from engine.catalogue import Kits, nesting, own_faults
from engine.documents import refuse
from engine.errors import Fault, InvalidInputError
from engine.network import Network
from engine.policy.faults import semantic_faults
from engine.policy.steering import Places
from engine.simulation.contradictions import contradictions
from engine.simulation.demand_faults import demand_faults
from engine.simulation.generated import Generated
from engine.simulation.patches import Patch
from engine.simulation.patching import Setting, setting_of
from engine.simulation.questions_document import Questions
from engine.simulation.scenario import (
    BASELINE,
    ORDERS_MAX,
    RUNS_ORDERS_MAX,
    Replenishment,
    Simulation,
    runs_of,
)
from engine.simulation.world import World, with_skus

CONTRADICTS = "The simulation contradicts itself or names things that do not exist."


def require(simulation: Simulation, world: World, recorded: int | None = None) -> None:
    """Raise InvalidInputError with every fault, at most 100.

    `world`: what the simulation begins with, its uploads included. `recorded`: how many orders a demand of history or
    of an upload has, once they are counted; None before that.
    """
    faults = list(_plain_faults(simulation, world))
    if not faults:
        faults = list(_deep_faults(simulation, with_skus(world, simulation.skus), recorded))
    if faults:
        refuse(CONTRADICTS, faults)


def require_plain(simulation: Simulation, world: World) -> None:
    """Raise InvalidInputError with the faults that can be seen without patching anything."""
    if faults := list(_plain_faults(simulation, world)):
        refuse(CONTRADICTS, faults)


def _plain_faults(simulation: Simulation, world: World) -> Iterator[Fault]:
    """Those that can be seen without patching anything."""
    yield from _sku_faults(simulation, world)
    yield from demand_faults(simulation.demand, with_skus(world, simulation.skus))
    if len(set(simulation.seeds)) < len(simulation.seeds):
        yield Fault("$.seeds", "the same seed stands twice: it would give the same orders again")
    if simulation.demand.generator is None and len(simulation.seeds) > 1:
        reason = "recorded orders are the same with every seed: give one seed, or a generator"
        yield Fault("$.seeds", reason)
    stock = simulation.stock
    if stock.upload is not None and stock.generator is not None:
        yield Fault("$.stock", "either upload or generator")
    if stock.generator is not None and simulation.demand.generator is None:
        yield Fault(
            "$.stock.generator", "stock is generated for a generated demand only: leave it out for stock as now"
        )
    if not simulation.scenarios and simulation.questions in (None, Questions()):
        yield Fault("$.scenarios", "there is nothing to compare: name a scenario, or ask a question")
    yield from _patch_faults(simulation.baseline, "$.baseline")
    names: set[str] = {BASELINE}
    for s, scenario in enumerate(simulation.scenarios):
        if scenario.name in names:
            yield Fault(f"$.scenarios[{s}].name", f"there is a scenario {scenario.name!r} already: names are unique")
        names.add(scenario.name)
        yield from _patch_faults(scenario.patches, f"$.scenarios[{s}].patches")


def _sku_faults(simulation: Simulation, world: World) -> Iterator[Fault]:
    """Catalogue entries that are wrong by themselves, or kits that would nest."""
    kits = Kits()
    for sku in world.skus:
        kits.put(sku.sku, [part.sku for part in sku.components])
    seen: set[str] = set()
    for k, sku in enumerate(simulation.skus):
        if sku.sku in seen:
            yield Fault(f"$.skus[{k}].sku", f"{sku.sku!r} stands earlier in the document")
        seen.add(sku.sku)
        for fault in own_faults(sku):
            yield Fault(f"$.skus[{k}]{fault.path.removeprefix('$')}", fault.reason)
    for k, faults in nesting(list(enumerate(simulation.skus)), kits).items():
        for fault in faults:
            yield Fault(f"$.skus[{k}]{fault.path.removeprefix('$')}", fault.reason)


def _patch_faults(patches: Sequence[Patch], path: str) -> Iterator[Fault]:
    sound = True
    for k, patch in enumerate(patches):
        said = patch.said()
        if len(said) != 1:
            named = ", ".join(said) or "nothing"
            yield Fault(f"{path}[{k}]", f"a patch says exactly one thing, this one {named}: write one patch for each")
            sound = False
    if sound:
        yield from contradictions(patches, path)


def _deep_faults(simulation: Simulation, world: World, recorded: int | None) -> Iterator[Fault]:
    """Those that patching shows, and the number of orders."""
    orders, most = 0.0, min(ORDERS_MAX, simulation.orders_max)
    for name in (BASELINE, *(scenario.name for scenario in simulation.scenarios)):
        try:
            setting = setting_of(simulation, name, world)
        except InvalidInputError as error:
            yield from error.faults
            continue
        place = next((s for s, each in enumerate(simulation.scenarios) if each.name == name), None)
        path = "$.baseline" if place is None else f"$.scenarios[{place}].patches"
        yield from _setting_faults(setting, path)
        count = _expected(simulation, setting, recorded)
        orders += count * len(simulation.seeds)
        if count > most:
            yield Fault(_count_path(simulation), f"about {count:,.0f} orders in scenario {name!r}; at most {most:,}")
    if recorded == 0:
        yield Fault(_count_path(simulation), "there are no orders: a longer period or another file is needed")
    if orders > RUNS_ORDERS_MAX:
        reason = f"about {orders:,.0f} orders in {len(runs_of(simulation))} runs; at most {RUNS_ORDERS_MAX:,} together"
        yield Fault("$.seeds", f"{reason}: fewer seeds or scenarios are needed")
    yield from _arrival_faults(simulation.stock.replenishment, simulation, world)


def _count_path(simulation: Simulation) -> str:
    demand = simulation.demand
    given = next(name for name in demand.__struct_fields__ if getattr(demand, name) is not None)
    return f"$.demand.{given}"


def _expected(simulation: Simulation, setting: Setting, recorded: int | None) -> float:
    """How many orders a scenario has."""
    generator = simulation.demand.generator
    if generator is None:
        return ceil((recorded or 0) * setting.demand_factor)
    return Generated(generator, [sku.sku for sku in setting.world.skus], 0).expected(setting.demand_factor)


def _setting_faults(setting: Setting, path: str) -> Iterator[Fault]:
    """What is wrong with a patched world as a whole."""
    world = setting.world
    if not any(node.active for node in world.network.nodes):
        yield Fault(path, "no node is left open: nothing could ship")
    if not world.network.carriers and not world.network.lanes:
        yield Fault(path, "neither carriers nor lanes are left: nothing could ship")
    if any(policy != type(policy)() for policy in world.policies.values()):
        numbers = {node.node_id: number for number, node in enumerate(world.network.nodes)}
        plain = msgspec.structs.replace(world.network, carriers=[], lanes=[])
        places = Places(Network.compile(plain, numbers, 1))
        for policy_id, policy in world.policies.items():
            for fault in semantic_faults(policy, places):
                yield Fault(path, f"policy {policy_id!r}, {fault.path}: {fault.reason}")


def _arrival_faults(plan: Replenishment, simulation: Simulation, world: World) -> Iterator[Fault]:
    nodes = world.node_ids()
    added = [patch.add_node.node.node_id for patch in simulation.baseline if patch.add_node is not None]
    skus = world.known_skus()
    for k, arrival in enumerate(plan.arrivals):
        path = f"$.stock.replenishment.arrivals[{k}]"
        if arrival.node_id not in nodes and arrival.node_id not in added:
            yield Fault(f"{path}.node_id", f"there is no node {arrival.node_id!r} in the baseline")
        if arrival.sku not in skus:
            yield Fault(f"{path}.sku", f"there is no SKU {arrival.sku!r}")
