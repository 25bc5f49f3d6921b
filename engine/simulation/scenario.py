"""A simulation as callers write it: demand, stock, seeds, and the scenarios beside the baseline. JSON or YAML."""

from __future__ import annotations

import json
import re
from itertools import product
from typing import Annotated, Any, ClassVar, NamedTuple

import yaml
from msgspec import Meta, field

from engine.documents import decode, refuse
from engine.domain import Count, Identifier, Instant, Record, Sku
from engine.errors import Fault
from engine.simulation.demand_document import Demand, Factor, Share, Upload
from engine.simulation.patches import Hours, Patch
from engine.simulation.questions_document import Questions

BASELINE = "baseline"
"""The scenario that always runs beside the others, without patches of its own."""

ORDERS_MAX = 10_000_000
"""The most orders of one run, expected or recorded."""
RUNS_ORDERS_MAX = 100_000_000
"""The most orders of all runs of a simulation together."""
SCENARIOS_MAX, SEEDS_MAX, PATCHES_MAX = 50, 100, 100


class StockGenerator(Record, frozen=True, kw_only=True):
    """As much of each SKU as sells in so many days, of a generated demand before all factors, spread by `seed`.

    `carried`: the share of nodes that carry a SKU, at least one; the nodes' parts of it differ.
    """

    cover_days: Annotated[float, Meta(gt=0, le=3_660)]
    carried: Share = 0.5
    seed: Annotated[int, Meta(ge=0, le=2**32)] = 0


class Arrival(Record, frozen=True, kw_only=True):
    """Units that come in."""

    at: Instant
    node_id: Identifier
    sku: Identifier
    quantity: Annotated[int, Meta(ge=1, le=2**31 - 1)]


class OrderUpTo(Record, frozen=True, kw_only=True):
    """Every so often each cell orders what it is short of `level` times its first stock; it comes `lead_hours` later.

    What is on its way counts as there. It is announced when it is ordered, so prices and backorders know of it.
    """

    every_hours: Annotated[float, Meta(ge=1, le=24 * 366)]
    lead_hours: Hours = 24.0
    level: Factor = 1.0


class Replenishment(Record, frozen=True, kw_only=True):
    """What comes in while orders do."""

    arrivals: Annotated[list[Arrival], Meta(max_length=1_000_000)] = field(default_factory=list)
    order_up_to: OrderUpTo | None = None


class Stock(Record, frozen=True, kw_only=True):
    """Where stock is when the first order comes: as it is now, unless one of these is given."""

    upload: Upload | None = None
    generator: StockGenerator | None = None
    replenishment: Replenishment = Replenishment()


class Pricing(Record, frozen=True, kw_only=True):
    """How shadow prices are made in simulated time. Prices of stock are followed every `minutes`, after `orders_min`.

    `programme_hours`: between two programmes of sampled futures; the live service makes one every few seconds, as far
    as its processor allows. `horizon_days`: how far ahead they look.
    """

    on: bool = True
    minutes: Annotated[float, Meta(ge=0.1, le=24 * 60)] = 5.0
    programme_hours: Annotated[float, Meta(ge=0.01, le=24 * 30)] = 4.0
    orders_min: Annotated[int, Meta(ge=1)] = 500
    horizon_days: Annotated[float, Meta(gt=0, le=366)] = 7.0


class Carbon(Record, frozen=True, kw_only=True):
    """Grams of CO2 equivalent of a parcel on each kilometre: an assumption, told with every figure that rests on it.

    The default is a parcel of 2 kg by road at 105 g per tonne-kilometre.
    """

    grams_per_parcel_km: Annotated[float, Meta(ge=0, le=1_000)] = 0.21


class Scenario(Record, frozen=True, kw_only=True):
    """One answer to "what if": patches, applied in their order."""

    name: Identifier
    patches: Annotated[list[Patch], Meta(min_length=1, max_length=PATCHES_MAX)]


class Simulation(Record, frozen=True, kw_only=True):
    """All of it. Every scenario runs with every seed, and so does the baseline."""

    name: Identifier = "simulation"
    demand: Demand
    stock: Stock = Stock()
    seeds: Annotated[list[Annotated[int, Meta(ge=0, le=2**32)]], Meta(min_length=1, max_length=SEEDS_MAX)] = field(
        default_factory=lambda: [1]
    )
    skus: Annotated[list[Sku], Meta(max_length=100_000)] = field(default_factory=list)
    """Catalogue entries that there are not yet, or that differ."""
    scenarios: Annotated[list[Scenario], Meta(max_length=SCENARIOS_MAX)] = field(default_factory=list)
    questions: Questions | None = None
    """Become scenarios beside the others (`questions.asked`)."""
    baseline: Annotated[list[Patch], Meta(max_length=PATCHES_MAX)] = field(default_factory=list)
    """What all runs differ from the present in, the baseline included; scenarios are patched on top of it."""
    pricing: Pricing = Pricing()
    carbon: Carbon = Carbon()
    orders_max: Count = ORDERS_MAX
    """Refuse a demand of more orders than this, if that is less than the bound there is."""

    def scenario(self, name: str) -> Scenario | None:
        """A scenario by name; None for the baseline."""
        return next((each for each in self.scenarios if each.name == name), None)


class Run(NamedTuple):
    """One scenario with one seed: what a worker does in one piece."""

    scenario: str
    seed: int


def runs_of(simulation: Simulation) -> list[Run]:
    """All runs; those of one seed stand together, the baseline first."""
    names = [BASELINE, *(scenario.name for scenario in simulation.scenarios)]
    return [Run(name, seed) for seed, name in product(simulation.seeds, names)]


def parse_simulation(body: bytes, *, as_yaml: bool = False) -> Simulation:
    """Decode; what a world makes of it, `faults.require` tells. Raises InvalidInputError with every fault of form."""
    return decode(json.dumps(_from_yaml(body)).encode() if as_yaml else body, Simulation, "simulation")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML as of 1.2: `on`, `NO`, 15:00 and instants are text. The same key twice is refused."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        if len(found) != len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key stands twice in one mapping", node.start_mark)
        return found


for _tag, _pattern, _first in (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", list("tf")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def _from_yaml(body: bytes) -> Any:
    """YAML as plain values. Raises InvalidInputError with the line."""
    try:
        return yaml.load(body, _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "$" if mark is None else f"line {mark.line + 1}"
        refuse("The simulation is not YAML.", [Fault(where, getattr(error, "problem", None) or "malformed YAML")])
