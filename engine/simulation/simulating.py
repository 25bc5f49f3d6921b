"""A simulation as pieces of work: what a job does in whatever processes it has.

ask       once, if there are questions (`questions.asked`): they become scenarios, and all else goes by that simulation
prepare   once: documents and stock that all runs begin with, checked; recorded orders are written down before
perform   each run of `scenario.runs_of`, anywhere and in any sequence: its figures, and its trail
report    once all runs of a scenario are there: beside the baseline
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
from msgspec import Struct

from engine.errors import InvalidInputError
from engine.network_document import Capacity
from engine.simulation import faults
from engine.simulation.bounding import Room, bounded, daily, largest, node_sums, room
from engine.simulation.comparing import FlowChange, Moves, Paired, compared, moves, shifted_flows
from engine.simulation.figures import Figures, Flow, Kpis, Load, Utilisation, kpis, utilisation
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


class Finished(Protocol):
    """What a run left, which may lie on disk: `figures` and `trail` are asked for as seldom as can be."""

    @property
    def run(self) -> Run: ...

    @property
    def figures(self) -> Figures: ...

    @property
    def trail(self) -> Columns: ...


class Report(Struct, frozen=True):
    """One scenario. `kpis`: of the mean run; `moves`, by seed: what changed for whom, empty for the baseline.

    `differences`: every indicator beside the baseline's, on the same seeds; empty for the baseline itself. Long lists
    have limits (`bounding`); `left_off`: how many entries are not told, by the name of the list.
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
    nodes: dict[str, Load] = {}
    """What every node ships on all days and over all seeds."""
    left_off: dict[str, int] = {}

    def shipped(self) -> dict[str, Load]:
        """`nodes`; a report of an earlier version has none, but then all days in its figures."""
        return self.nodes or node_sums(self.figures)


def reported(simulation: Simulation, world: World, results: Sequence[Finished]) -> list[Report]:
    """The baseline, then the scenarios in their sequence; only seeds that both have run are compared."""
    by_name: dict[str, dict[int, Finished]] = {}
    for result in results:
        by_name.setdefault(result.run.scenario, {})[result.run.seed] = result
    grams = simulation.carbon.grams_per_parcel_km
    share = room(len(by_name), sum(len(each) for name, each in by_name.items() if name != BASELINE))

    def capacities(name: str) -> dict[str, Capacity]:
        return {node.node_id: node.capacity for node in setting_of(simulation, name, world).world.network.nodes}

    def report_of(name: str) -> Report:
        mine = _summed(simulation, by_name[name], grams)
        return _compared(_report(name, mine, capacities(name), share, beside), mine, base, share)

    found = []
    base, beside = _Sums({}, Figures(), Figures(), {}), dict[str, Load]()
    if BASELINE in by_name:
        base = _summed(simulation, by_name[BASELINE], grams)
        beside = node_sums(base.total)
        found.append(_report(BASELINE, base, capacities(BASELINE), share, beside))
        base = base._replace(total=Figures(flows=base.total.flows), first=Figures())  # all that is looked at later
    return found + [report_of(each.name) for each in simulation.scenarios if each.name in by_name]


class _Sums(NamedTuple):
    """The runs of one scenario: sums of all seeds, the first seed's loads, and indicators by seed."""

    runs: Mapping[int, Finished]
    total: Figures
    first: Figures
    kpis: dict[int, Kpis]


def _summed(simulation: Simulation, runs: Mapping[int, Finished], grams: float) -> _Sums:
    """One run's figures after the other, so that only sums are kept."""
    total, first, indicators = Figures(), Figures(), dict[int, Kpis]()
    for seed in (seed for seed in simulation.seeds if seed in runs):
        figures = runs[seed].figures
        if not indicators:
            first = Figures(loads=figures.loads)
        indicators[seed] = kpis(figures, grams)
        total.merge(figures)
        del figures  # before the next one is read
    return _Sums(runs, total, first, indicators)


def _report(
    name: str, mine: _Sums, capacities: Mapping[str, Capacity], share: Room, beside: Mapping[str, Load]
) -> Report:
    sums = node_sums(mine.total)
    nodes = daily(mine.total, sums, beside, share)
    figures, left_off = bounded(mine.total, share, nodes)
    loads = {node_id: days for node_id, days in mine.first.loads.items() if node_id in nodes}
    lacking = sum(len(days) for node_id, days in mine.first.loads.items() if node_id not in nodes)
    return Report(
        scenario=name,
        seeds=tuple(mine.kpis),
        figures=figures,
        kpis=tuple(mine.kpis.values()),
        utilisation=tuple(utilisation(Figures(loads=loads), capacities)),
        nodes=sums,
        left_off=left_off | ({"utilisation": lacking} if lacking else {}),
    )


def _compared(report: Report, mine: _Sums, base: _Sums, share: Room) -> Report:
    """The report beside the baseline, by the seeds that both have."""
    both = [seed for seed in mine.kpis if seed in base.kpis]
    if not both:
        return report
    changes = {
        (change.node_id, change.region): change for change in shifted_flows(_flows(base, both), _flows(mine, both))
    }
    told = largest(changes, share.flows, lambda change: abs(change.parcels))
    left_off = dict(report.left_off)
    if len(changes) > len(told):
        left_off["flows"] = len(changes) - len(told)
    return msgspec.structs.replace(
        report,
        differences=compared([base.kpis[seed] for seed in both], [mine.kpis[seed] for seed in both]),
        flows=tuple(told.values()),
        moves=tuple(moves(base.runs[seed].trail, mine.runs[seed].trail, share.shifts, share.moves) for seed in both),
        left_off=left_off,
    )


def _flows(sums: _Sums, seeds: Sequence[int]) -> dict[str, dict[str, Flow]]:
    """Of these seeds; read again where the sums are of more."""
    if len(seeds) == len(sums.kpis):
        return sums.total.flows
    found = Figures()
    for seed in seeds:
        found.merge(Figures(flows=sums.runs[seed].figures.flows))
    return found.flows
