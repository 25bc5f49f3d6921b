"""A simulation as pieces of work: what a job does in whatever processes it has.

ask       once, if there are questions (`questions.asked`): they become scenarios, and all else goes by that simulation
prepare   once: documents and stock that all runs begin with, checked; recorded orders are written down before
perform   each run of `scenario.runs_of`, anywhere and in any sequence: its figures, and its trail
report    once all runs of a scenario are there: beside the baseline
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from engine.errors import InvalidInputError
from engine.simulation import faults
from engine.simulation.comparing import FlowChange, Moves, Paired, compared, moves, shifted_flows
from engine.simulation.figures import Figures, Kpis, Utilisation, kpis, utilisation
from engine.simulation.generated import Generated
from engine.simulation.outcome import Outcome
from engine.simulation.patching import setting_of
from engine.simulation.questions import asked
from engine.simulation.recorded import Recorded, Spool
from engine.simulation.running import Watch, run
from engine.simulation.scenario import BASELINE, Run, Simulation
from engine.simulation.stocking import furnished
from engine.simulation.trail import Columns, Trail
from engine.simulation.world import World, with_skus


def prepared(simulation: Simulation, world: World, spool: Spool | None = None) -> World:
    """The world that every run begins with. Raises InvalidInputError with every fault of the simulation.

    `world`: documents and stock as they are now, or as uploaded. `spool`: the recorded orders, where demand is that.
    """
    if asked(simulation, world) != simulation:
        raise InvalidInputError("its questions are asked before a simulation is prepared")
    faults.require(simulation, world, None if spool is None else spool.orders)
    return furnished(simulation, with_skus(world, simulation.skus))


class Result(NamedTuple):
    """What a run leaves: its figures, and who shipped what from where."""

    run: Run
    figures: Figures
    trail: Columns


async def performed(
    simulation: Simulation,
    world: World,
    one: Run,
    spool: Path | None = None,
    settled: Callable[[Sequence[Outcome]], None] = lambda _: None,
    through: Callable[[int, int], None] = lambda *_: None,
) -> Result:
    """One run. `world`: of `prepared`. `settled` gets every order's row, some at a time, when it moves no more.

    `through`: told (orders that came, ms since the epoch) after every window; what it raises ends the run.
    """
    setting = setting_of(simulation, one.scenario, world)
    trail = Trail()

    def seen(outcomes: Sequence[Outcome]) -> None:
        trail.add(outcomes)
        settled(outcomes)

    generator = simulation.demand.generator
    if generator is not None:
        demand: Generated | Recorded = Generated(generator, [sku.sku for sku in world.skus], one.seed)
    elif spool is not None:
        demand = Recorded(spool)
    else:
        raise InvalidInputError("recorded orders are written down before a run")
    figures = await run(setting, demand.orders(setting.demand_factor), Watch(seen, through))
    return Result(one, figures, trail.columns())


def expected_orders(simulation: Simulation, world: World, one: Run, spool: Spool | None = None) -> float:
    """How many orders a run will have, about: for who tells how far it is."""
    factor = setting_of(simulation, one.scenario, world).demand_factor
    generator = simulation.demand.generator
    if generator is None:
        return factor * (0 if spool is None else spool.orders)
    return Generated(generator, [sku.sku for sku in world.skus], one.seed).expected(factor)


class Report(Struct, frozen=True):
    """One scenario. `kpis`: of the mean run; `moves`, by seed: what changed for whom, empty for the baseline.

    `differences`: every indicator beside the baseline's, on the same seeds; empty for the baseline itself.
    """

    scenario: str
    seeds: tuple[int, ...]
    figures: Figures
    """Sums over all seeds."""
    kpis: tuple[Kpis, ...]
    """By seed."""
    utilisation: tuple[Utilisation, ...]
    """Of the first seed."""
    differences: dict[str, Paired] = {}
    flows: tuple[FlowChange, ...] = ()
    """Of all seeds together."""
    moves: tuple[Moves, ...] = ()


def reported(simulation: Simulation, world: World, results: Sequence[Result]) -> list[Report]:
    """The baseline, then the scenarios in their sequence; only seeds that both have run are compared."""
    by_name: dict[str, dict[int, Result]] = {}
    for result in results:
        by_name.setdefault(result.run.scenario, {})[result.run.seed] = result
    names = [BASELINE, *(scenario.name for scenario in simulation.scenarios)]
    base = by_name.get(BASELINE, {})
    return [_report(simulation, world, name, by_name[name], base) for name in names if name in by_name]


def _report(
    simulation: Simulation, world: World, name: str, mine: Mapping[int, Result], base: Mapping[int, Result]
) -> Report:
    grams = simulation.carbon.grams_per_parcel_km
    seeds = tuple(seed for seed in simulation.seeds if seed in mine)
    both = () if name == BASELINE else tuple(seed for seed in seeds if seed in base)
    ours, theirs = ([runs[seed].figures for seed in both] for runs in (mine, base))
    nodes = setting_of(simulation, name, world).world.network.nodes
    return Report(
        scenario=name,
        seeds=seeds,
        figures=_total([mine[seed].figures for seed in seeds]),
        kpis=tuple(kpis(mine[seed].figures, grams) for seed in seeds),
        utilisation=tuple(utilisation(mine[seeds[0]].figures, {node.node_id: node.capacity for node in nodes})),
        differences=compared(theirs, ours, grams) if both else {},
        flows=shifted_flows(_total(theirs), _total(ours)) if both else (),
        moves=tuple(moves(base[seed].trail, mine[seed].trail) for seed in both),
    )


def _total(parts: Sequence[Figures]) -> Figures:
    found = Figures()
    for part in parts:
        found.merge(part)
    return found
