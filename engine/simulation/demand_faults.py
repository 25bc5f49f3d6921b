"""What is wrong with a demand as it is written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from math import isfinite

from engine.errors import Fault
from engine.network_document import is_date
from engine.promise import is_timezone
from engine.simulation.demand_document import Demand, Generator
from engine.simulation.generated import rates_of
from engine.simulation.world import World


def demand_faults(demand: Demand, world: World) -> Iterator[Fault]:
    """Everything, at the paths of a simulation."""
    given = [name for name in demand.__struct_fields__ if getattr(demand, name) is not None]
    if len(given) != 1:
        named = " and ".join(given) or "none of them"
        yield Fault("$.demand", f"exactly one of history, upload and generator is needed; there is {named}")
    elif demand.history is not None and demand.history.until <= demand.history.since:
        yield Fault("$.demand.history.until", "not after `since`: the period is empty")
    elif demand.generator is not None:
        yield from _generator_faults(demand.generator, world, "$.demand.generator")


def _generator_faults(terms: Generator, world: World, path: str) -> Iterator[Fault]:
    found = [*_shape_faults(terms, path), *_name_faults(terms, world, path)]
    yield from found
    if not found and not sum(rate for _, _, rate in rates_of(terms)) > 0:
        yield Fault(path, "no orders would come: orders_per_day or its factors are 0")


def _shape_faults(terms: Generator, path: str) -> Iterator[Fault]:
    hours = [("season.hours", terms.season.hours), *((f"peaks[{k}].hours", p.hours) for k, p in enumerate(terms.peaks))]
    for name, factors in hours:
        if len(factors) not in (0, 24):
            yield Fault(f"{path}.{name}", f"{len(factors)} factors where a day has 24 hours")
    if len(terms.season.weekdays) not in (0, 7):
        yield Fault(f"{path}.season.weekdays", f"{len(terms.season.weekdays)} factors where a week has 7 days")
    for date in terms.season.dates:
        if not is_date(date):
            yield Fault(f"{path}.season.dates.{date}", "not a date YYYY-MM-DD")
    yield from _peak_faults(terms, path)
    for name in ("lines", "quantities"):
        yield from _chance_faults(getattr(terms, name), f"{path}.{name}")
    yield from _chance_faults(terms.levels.values(), f"{path}.levels")
    if terms.skus:
        yield from _chance_faults(terms.skus.values(), f"{path}.skus")
    if terms.destinations:
        yield from _chance_faults([each.share for each in terms.destinations], f"{path}.destinations")
    for k, destination in enumerate(terms.destinations):
        zone = destination.ship_to.timezone
        if zone is not None and not is_timezone(zone):
            yield Fault(f"{path}.destinations[{k}].ship_to.timezone", f"{zone!r} is not a known time zone")
    for k, promotion in enumerate(terms.promotions):
        if promotion.until <= promotion.since:
            yield Fault(f"{path}.promotions[{k}].until", "not after `since`: the promotion never is")
    promised = terms.promised
    if promised is not None and promised.days_max < promised.days_min:
        yield Fault(f"{path}.promised.days_max", "less than days_min")


def _peak_faults(terms: Generator, path: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for k, peak in enumerate(terms.peaks):
        if not is_date(peak.date):
            yield Fault(f"{path}.peaks[{k}].date", f"{peak.date!r} is not a date YYYY-MM-DD")
        elif peak.date in seen:
            yield Fault(f"{path}.peaks[{k}].date", "an earlier peak is on this day")
        seen.add(peak.date)


def _chance_faults(chances: Iterable[float], path: str) -> Iterator[Fault]:
    total = sum(chances)
    if not (isfinite(total) and total > 0):
        yield Fault(path, "at least one chance above 0 is needed")


def _name_faults(terms: Generator, world: World, path: str) -> Iterator[Fault]:
    known = world.known_skus()
    if not terms.skus and not world.skus:
        yield Fault(f"{path}.skus", "the catalogue is empty: name what sells")
    yield from _unknown(list(terms.skus), known, f"{path}.skus", by_name=True)
    for k, destination in enumerate(terms.destinations):
        yield from _unknown(list(destination.skus), known, f"{path}.destinations[{k}].skus", by_name=True)
    for k, promotion in enumerate(terms.promotions):
        yield from _unknown(promotion.skus, known, f"{path}.promotions[{k}].skus", by_name=False)
    if terms.policy_id not in world.policies:
        yield Fault(f"{path}.policy_id", f"there is no policy {terms.policy_id!r}")


def _unknown(skus: Sequence[str], known: Collection[str], path: str, *, by_name: bool) -> Iterator[Fault]:
    for k, sku in enumerate(skus):
        if sku not in known:
            yield Fault(
                f"{path}.{sku}" if by_name else f"{path}[{k}]", f"there is no SKU {sku!r} in catalogue or stock"
            )
