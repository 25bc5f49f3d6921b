"""What a simulation answers: its scenarios beside the baseline, and what was asked, as one document.

The same simulation and results give the same answer to a byte; it encodes as JSON. Money in currency units unless a
name says mills.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import NamedTuple

import msgspec
from msgspec import Struct

from engine.network import Network
from engine.simulation.bounding import PLACES, node_sums
from engine.simulation.comparing import CONFIDENCE, Paired, paired
from engine.simulation.figures import Figures, Price, Region, Short
from engine.simulation.patching import setting_of
from engine.simulation.questions import closings_of, places, price_of_policy, supplied, sweep
from engine.simulation.questions_document import Parameter, Questions
from engine.simulation.questions_document import Worth as WorthTerms
from engine.simulation.scenario import BASELINE, Run, Simulation
from engine.simulation.simulating import Finished, Report, reported
from engine.simulation.world import World


class Place(Struct, frozen=True):
    """A node, or a region by the middle of its parcels, in degrees."""

    name: str
    lat: float
    lon: float


class Estimate(Struct, frozen=True):
    """Money of a run in the mean over seeds. `low`, `high`: its confidence interval; None with one seed."""

    value: float
    low: float | None
    high: float | None


class Part(Struct, frozen=True):
    """A rule or limit and what it costs: what the baseline pays more than the scenario without it, below 0 for less."""

    what: str
    scenario: str
    cost: Estimate


class PriceOfPolicy(Struct, frozen=True):
    """The parts of a policy, the dearest first, and all of them `together`: the baseline against one without rules and
    limits; None where there is one part only. Parts that bind each other do not add up to the whole."""

    policy_id: str
    parts: tuple[Part, ...]
    together: Part | None


class Closing(Struct, frozen=True):
    """What closing a node costs, below 0 where it saves; `parcels` that a run of the baseline ships from there."""

    node_id: str
    scenario: str
    cost: Estimate
    parcels: float


class Point(Struct, frozen=True):
    """One value of the number, and every indicator there beside the baseline."""

    value: float
    scenario: str
    indicators: dict[str, Paired]


class Curve(Struct, frozen=True):
    """What one number trades off, by ascending value."""

    name: str
    parameter: Parameter
    points: tuple[Point, ...]


class Cell(Struct, frozen=True):
    """One node. `price`: what a unit that lies there was expected to save later, in the mean over the price sheets of a
    run in which it had a price; `priced`: their share of all sheets.

    `by_price`: the price times the units. A first guess: too high where units are many, for each saves less than the
    one before, and too low where stock runs out, for what is sold out has no price. `measured`: what a run with the
    units saved, where that was asked for.
    """

    node_id: str
    price: Estimate
    priced: float
    by_price: float
    scenario: str | None = None
    measured: Estimate | None = None


class Worth(Struct, frozen=True):
    """Where the next units of a SKU are worth most: that node first. By what was measured, else by price; nodes without
    a price are left out if nothing was measured there. `short`: units of it that a run of the baseline did not ship;
    `left_off`: how many nodes are not told."""

    sku: str
    units: int
    short: float
    cells: tuple[Cell, ...]
    left_off: int = 0


class Supply(NamedTuple):
    """What questions need of a run of the baseline: parcels by node, and of the SKUs asked about prices and units that
    did not ship; `sheets`: of prices, all of the run."""

    parcels: dict[str, int]
    prices: dict[str, dict[str, Price]]
    short: dict[str, Short]
    sheets: int


class Answer(Struct, frozen=True, kw_only=True):
    """All of it. `reports`: the baseline, then the scenarios in their sequence, those of questions included."""

    name: str
    currency: str
    confidence: float = CONFIDENCE
    grams_per_parcel_km: float
    nodes: tuple[Place, ...]
    regions: tuple[Place, ...]
    reports: tuple[Report, ...]
    price_of_policy: PriceOfPolicy | None = None
    closings: tuple[Closing, ...] = ()
    """The cheapest to close first."""
    curves: tuple[Curve, ...] = ()
    worth: tuple[Worth, ...] = ()


def answered(simulation: Simulation, world: World, results: Sequence[Finished]) -> Answer:
    """What the results of any runs say; questions whose runs are missing are answered as far as they go.

    `simulation`: as asked, `world`: of `prepared`. Figures are looked at one after the other and summed up, so that the
    memory it takes grows with what one run has, not with how many there are.
    """
    reports = tuple(reported(simulation, world, results))
    base = setting_of(simulation, BASELINE, world).world
    answer = Answer(
        name=simulation.name,
        currency=world.network.currency,
        grams_per_parcel_km=simulation.carbon.grams_per_parcel_km,
        nodes=_nodes(simulation, world, reports),
        regions=_regions(reports),
        reports=reports,
    )
    questions = simulation.questions
    if questions is None:
        return answer
    by_name = {report.scenario: report for report in reports if report.differences}
    runs = [
        _supply(each.figures, questions)
        for seed in simulation.seeds
        for each in results
        if each.run == Run(BASELINE, seed)
    ]
    return msgspec.structs.replace(
        answer,
        price_of_policy=_price_of_policy(questions, base, by_name),
        closings=_closings(questions, base, by_name, runs),
        curves=tuple(_curves(questions, by_name)),
        worth=() if questions.worth is None else tuple(_worth(questions.worth, base, by_name, runs)),
    )


def _supply(figures: Figures, questions: Questions) -> Supply:
    skus = () if questions.worth is None else questions.worth.skus
    return Supply(
        {node_id: load.parcels for node_id, load in node_sums(figures).items()},
        {sku: figures.prices[sku] for sku in skus if sku in figures.prices},
        {sku: figures.short[sku] for sku in skus if sku in figures.short},
        sum(figures.sheets.values()),
    )


def _nodes(simulation: Simulation, world: World, reports: Sequence[Report]) -> tuple[Place, ...]:
    """Those of the network and those that scenarios add, as far as their places are known."""
    found: dict[str, Place] = {}
    for report in reports:
        network = setting_of(simulation, report.scenario, world).world.network
        if {node.node_id for node in network.nodes} <= found.keys():
            continue
        numbers = {node.node_id: number for number, node in enumerate(network.nodes)}
        compiled = Network.compile(msgspec.structs.replace(network, carriers=[], lanes=[]), numbers, 1)
        for node_id, lat, lon in zip(compiled.node_ids, compiled.lat.tolist(), compiled.lon.tolist(), strict=True):
            if isfinite(lat + lon):
                found.setdefault(node_id, Place(node_id, lat, lon))
    return tuple(found[node_id] for node_id in sorted(found))


def _regions(reports: Sequence[Report]) -> tuple[Place, ...]:
    """The middle of all parcels that go there in any scenario."""
    sums = Figures()
    for report in reports:
        sums.merge(Figures(regions=report.figures.regions))
    return tuple(_middle(name, region) for name, region in sorted(sums.regions.items()))


def _middle(name: str, region: Region) -> Place:
    return Place(name, region.lat / region.parcels / 1e6, region.lon / region.parcels / 1e6)


def _estimate(found: Paired) -> Estimate:
    return Estimate(found.difference, found.low, found.high)


def _saved(found: Paired) -> Estimate:
    """What the scenario costs less than the baseline."""
    low, high = (None if end is None else 0.0 - end for end in (found.high, found.low))
    return Estimate(0.0 - found.difference, low, high)


def _price_of_policy(questions: Questions, base: World, by_name: Mapping[str, Report]) -> PriceOfPolicy | None:
    terms = questions.price_of_policy
    if terms is None:
        return None
    found = [
        Part(drop.what, drop.scenario.name, _saved(by_name[drop.scenario.name].differences["cost"]))
        for drop in price_of_policy(terms.policy_id, base.policies[terms.policy_id])
        if drop.scenario.name in by_name
    ]
    parts = sorted((part for part in found if part.what), key=lambda part: (-part.cost.value, part.what))
    return PriceOfPolicy(terms.policy_id, tuple(parts), next((part for part in found if not part.what), None))


def _closings(
    questions: Questions, base: World, by_name: Mapping[str, Report], runs: Sequence[Supply]
) -> tuple[Closing, ...]:
    found = []
    for node_id, scenario in closings_of(questions, base).items():
        if scenario.name not in by_name:
            continue
        parcels = sum(run.parcels.get(node_id, 0) for run in runs) / len(runs)
        cost = _estimate(by_name[scenario.name].differences["cost"])
        found.append(Closing(node_id, scenario.name, cost, parcels))
    return tuple(sorted(found, key=lambda closing: (closing.cost.value, closing.node_id)))


def _curves(questions: Questions, by_name: Mapping[str, Report]) -> list[Curve]:
    found = []
    for terms in questions.sweeps:
        pairs = sorted(zip(terms.values, sweep(terms), strict=True), key=lambda pair: pair[0])
        points = [
            Point(value, scenario.name, by_name[scenario.name].differences)
            for value, scenario in pairs
            if scenario.name in by_name
        ]
        found.append(Curve(terms.name, terms.parameter, tuple(points)))
    return found


def _worth(terms: WorthTerms, base: World, by_name: Mapping[str, Report], runs: Sequence[Supply]) -> list[Worth]:
    scenarios = supplied(base, terms) if terms.measured else {}
    found = []
    for sku in terms.skus:
        cells = []
        for node_id in sorted(places(base, terms)):
            scenario = scenarios.get((sku, node_id))
            report = None if scenario is None else by_name.get(scenario.name)
            prices = [run.prices.get(sku, {}).get(node_id, Price()) for run in runs]
            if report is None and not any(price.sheets for price in prices):
                continue
            price = _price(prices)
            sheets = sum(run.sheets for run in runs)
            priced = sum(each.sheets for each in prices) / sheets if sheets else 0.0
            name, saved = (None, None) if report is None else (report.scenario, _saved(report.differences["cost"]))
            cells.append(Cell(node_id, price, priced, price.value * terms.units, name, saved))
        cells.sort(key=lambda cell: (-_rank(cell), -cell.price.value, cell.node_id))
        short = sum(run.short[sku].units for run in runs if sku in run.short) / max(1, len(runs))
        found.append(Worth(sku, terms.units, short, tuple(cells[:PLACES]), max(0, len(cells) - PLACES)))
    return found


def _rank(cell: Cell) -> float:
    return cell.by_price if cell.measured is None else cell.measured.value


def _price(prices: Sequence[Price]) -> Estimate:
    """The mean over those runs in which the cell had a price."""
    means = [price.mills / 1000 / price.sheets for price in prices if price.sheets]
    return _estimate(paired([0.0] * len(means), means)) if means else Estimate(0.0, None, None)
