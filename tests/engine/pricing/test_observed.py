"""What the log tells a pricer: what counts as taken, and what is forgotten."""

from __future__ import annotations

import msgspec
import pytest

from engine.forecast import ForecastRow
from engine.ledger import states
from engine.pricing import demand
from engine.pricing.observed import Observed
from tests.engine.pricing.test_pricer import bound_for, shop
from tests.engine.test_allocator import World


@pytest.mark.parametrize(
    ("command", "units"), [(states.REOPTIMISE, 0), (states.REPLACE, 0), (states.REROUTE, 0), (states.FILL, 3)]
)
async def test_an_order_that_ships_from_elsewhere_is_no_demand(command: str, units: int) -> None:
    """Its first take counted; a fill takes for the first time."""
    world = await shop(orders=3)
    [logged] = [each for each in await world.ledger.journal("p", "0-0", 64) if each.kind == "commit"]
    again = [command, 1, "", "", "", []]
    orders = [[*order[:6], *[0] * (6 - len(order)), again] for order in logged.body.orders]
    observed = Observed()
    observed.take(logged)
    assert (sum(observed.taken.values()), observed.orders) == (3, 3)
    observed.counted()
    observed.take(logged._replace(body=msgspec.structs.replace(logged.body, orders=orders)))
    assert (sum(observed.taken.values()), observed.orders) == (units, 3)


async def test_a_zone_is_forgotten_with_its_last_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places grow no longer than demand does, forecast ones included."""
    monkeypatch.setattr(demand, "KINDS_MAX", 2)
    world, observed = World(), Observed()
    await world.setup([{"id": "near", "parcel": "5.00"}], {("near", "A"): 50})
    for zone in ("Boston", "Boston", "York", "York", "Ely", "Rye", "Diss"):
        await world.decide(bound_for(zone, f"O {zone} {observed.orders} {len(observed.places)}"))
        for logged in await world.ledger.journal("p", observed.at, 64):
            observed.take(logged)
    assert set(observed.places) == {"Boston", "York"}
    row = ForecastRow(sku="A", country="US", zone="Bath", units_per_day=1.0)
    observed.expect([row])
    assert set(observed.places) == {"Boston", "York", "Bath"}
    observed.expect([])
    assert set(observed.places) == {"Boston", "York"}
