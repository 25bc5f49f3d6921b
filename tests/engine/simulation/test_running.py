"""One run in simulated time: windows, supply, strikes, holds, prices, and what is kept."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from engine.domain import epoch_ms
from engine.errors import InvalidInputError
from engine.ledger.memory import MemoryLedger
from engine.policy import ReoptimiseTerms, WindowTerms
from engine.simulation import running
from engine.simulation.demand_document import Destination, Generator
from engine.simulation.generated import Generated
from engine.simulation.patches import Strike
from engine.simulation.running import PARTITION, Watch, run
from engine.simulation.scenario import Arrival, OrderUpTo, Pricing, Replenishment
from tests.engine.making import MONDAY
from tests.engine.simulation.worlds import (
    EAST,
    SKUS,
    WEST,
    days_later,
    order,
    outcomes_of,
    rows,
    setting,
    with_policy,
    world,
)

HOUR_S = 3600.0


async def test_a_window_closes_after_its_length_and_what_is_in_it_is_decided_at_that_instant():
    """Orders held for seconds are decided together, when their time is up and not before."""
    orders = [order("1", 0), order("2", 1), order("3", 5)]
    found = await outcomes_of(setting(world(), window_ms=3_000), orders)
    start = epoch_ms(MONDAY)
    assert rows(found, "decided_ms", ["1", "2", "3"]) == [start + 3_000, start + 3_000, start + 8_000]
    assert found["1"].window_id == found["2"].window_id != found["3"].window_id


async def test_a_full_window_closes_at_once():
    """The order that fills a window does not wait for its length to pass."""
    base = with_policy(world(), window=WindowTerms(max_orders=2))
    found = await outcomes_of(setting(base, window_ms=60_000), [order("1", 0), order("2", 1), order("3", 2)])
    start = epoch_ms(MONDAY)
    assert rows(found, "decided_ms", ["1", "2", "3"]) == [start + 1_000, start + 1_000, start + 62_000]


async def test_the_policy_says_how_long_windows_are_unless_the_scenario_does():
    """A run without patches closes windows as the live gate would at the latest."""
    base = with_policy(world(), window=WindowTerms(max_wait_ms=50))
    found = await outcomes_of(setting(base), [order("1", 0)])
    assert found["1"].decided_ms == epoch_ms(MONDAY) + 50


async def test_no_more_ships_than_there_is_and_all_of_it_does():
    """Stock is taken once, over any number of windows; what is missing counts as short."""
    orders = [order(str(k), k) for k in range(30)]
    figures = await run(setting(world({("E", "P"): 11, ("W", "P"): 9})), orders)
    assert (figures.units, figures.units_shipped) == (30, 20)
    assert (figures.short["P"].orders, figures.short["P"].units) == (10, 10)
    assert figures.unfilled == 10 * 25_000
    assert sum(load.units for days in figures.loads.values() for load in days.values()) == 20


async def test_the_same_orders_give_the_same_outcomes_and_the_very_same_decisions():
    """A run reads no clock and no dice of its own: with prices and reoptimisation, twice, byte for byte."""
    terms = Generator(since=datetime(2026, 11, 23, tzinfo=UTC), days=2, orders_per_day=300, lines=[0.5, 0.5])
    base = with_policy(world(60), reoptimise=ReoptimiseTerms(mode="on", every_seconds=7200))
    of = setting(base, window_ms=600_000, hold_ms=4 * 3_600_000, pricing=Pricing(orders_min=50, programme_hours=6))
    found = []
    for _ in range(2):
        bodies: list[bytes] = []
        orders = Generated(terms, SKUS, 3).orders()
        found.append((await run(of, orders, Watch(decided=bodies.extend)), bodies))
    assert found[0] == found[1]
    assert found[0][0].sheets["lp"] > 2
    assert "failed" not in found[0][0].sheets


@pytest.mark.parametrize("minutes", [5, 30])
async def test_prices_keep_stock_for_those_who_need_it(minutes):
    """A run with prices spends less where scarce stock is worth more to orders to come; so prices are in force, however
    seldom they are made."""
    terms = Generator(
        since=datetime(2026, 11, 23, tzinfo=UTC),
        days=3,
        orders_per_day=200,
        lines=[0.5, 0.5],
        quantities=[1],
        skus={"P": 1.0, "Q": 1.0},
        destinations=[Destination(ship_to=EAST)],
    )
    base = world({("E", "P"): 250, ("E", "Q"): 1_000, ("M", "P"): 1_000})
    spent = {}
    for on in (False, True):
        of = setting(base, window_ms=60_000, pricing=Pricing(on=on, orders_min=50, programme_hours=2, minutes=minutes))
        figures = await run(of, Generated(terms, SKUS, 1).orders())
        assert figures.units_shipped == figures.units
        spent[on] = figures.total
    assert spent[True] < 0.95 * spent[False]


async def test_what_arrives_ships_from_then_on_and_backorders_are_filled():
    """Planned units come at their instant: those who wait for them are served, and later orders find the rest."""
    plan = Replenishment(arrivals=[Arrival(at=days_later(1), node_id="E", sku="P", quantity=2)])
    orders = [order("1", 0), order("2", 1, backorder=True), order("3", 25 * HOUR_S), order("4", 25 * HOUR_S + 1)]
    found = await outcomes_of(setting(world({("M", "Q"): 1}), replenishment=plan), orders)
    assert rows(found, "status", ["1", "2", "3", "4"]) == ["refused", "allocated", "allocated", "refused"]


async def test_nodes_order_what_they_are_short_of_and_get_it_after_its_lead_time():
    """Order-up-to: what sold by the review is there again, once, when it arrives."""
    plan = Replenishment(order_up_to=OrderUpTo(every_hours=24, lead_hours=12))
    sold = [order(f"a{k}", k) for k in range(5)]
    before = [order(f"b{k}", 35 * HOUR_S + k) for k in range(2)]
    after = [order(f"c{k}", 37 * HOUR_S + k) for k in range(5)]
    found = await outcomes_of(setting(world({("E", "P"): 4}), replenishment=plan), [*sold, *before, *after])
    assert Counter(rows(found, "status", [each.order_id for each in sold])) == {"allocated": 4, "refused": 1}
    assert rows(found, "status", ["b0", "b1"]) == ["refused", "refused"]
    assert Counter(rows(found, "status", [each.order_id for each in after])) == {"allocated": 4, "refused": 1}


async def test_a_carrier_that_strikes_takes_nothing_until_it_goes_again():
    """A strike holds from its first instant to its last, and only then."""
    strike = Strike(carrier="usps", since=days_later(1), until=days_later(2))
    orders = [order("before", 0), order("while", 30 * HOUR_S), order("after", 49 * HOUR_S)]
    found = await outcomes_of(setting(world(), strikes=(strike,)), orders)
    assert rows(found, "status", ["before", "while", "after"]) == ["allocated", "refused", "allocated"]


async def test_a_held_order_moves_to_what_is_cheaper_before_it_is_released():
    """Late re-optimisation: the order that left from the west ships from the east once that has stock, if it waits."""
    plan = Replenishment(arrivals=[Arrival(at=days_later(0.05), node_id="E", sku="P", quantity=5)])
    base = with_policy(world({("W", "P"): 5}), reoptimise=ReoptimiseTerms(mode="on", every_seconds=600))
    held = await outcomes_of(setting(base, replenishment=plan, hold_ms=3 * 3_600_000), [order("1", 0)])
    at_once = await outcomes_of(setting(world({("W", "P"): 5}), replenishment=plan), [order("1", 0)])
    assert (held["1"].nodes, held["1"].moves) == ("E", 1)
    assert held["1"].released_ms == held["1"].decided_ms + 3 * 3_600_000
    assert (at_once["1"].nodes, at_once["1"].moves) == ("W", 0)
    assert held["1"].total < at_once["1"].total


async def test_a_released_order_moves_no_more():
    """Who waits less long than stock takes to come ships from where it was decided."""
    plan = Replenishment(arrivals=[Arrival(at=days_later(0.05), node_id="E", sku="P", quantity=5)])
    base = with_policy(world({("W", "P"): 5}), reoptimise=ReoptimiseTerms(mode="on", every_seconds=600))
    orders = [order("1", 0), order("2", 20 * HOUR_S, ship_to=WEST)]
    found = await outcomes_of(setting(base, replenishment=plan, hold_ms=3_600_000), orders)
    assert (found["1"].nodes, found["1"].moves) == ("W", 0)


@pytest.mark.parametrize("prices", [False, True])
async def test_settled_orders_are_forgotten_so_that_memory_holds_any_run(monkeypatch, prices):
    """What the ledger keeps does not grow with the number of orders, with a pricer that follows its log or without."""
    seen: list[tuple[int, int]] = []
    built = running.build_simulation

    def watched(*arguments):
        engine, ledger = built(*arguments)
        assert isinstance(ledger, MemoryLedger)
        ledgers.append(ledger)
        return engine, ledger

    ledgers: list[MemoryLedger] = []
    monkeypatch.setattr(running, "build_simulation", watched)
    monkeypatch.setattr(running, "FORGET_ORDERS", 20)
    monkeypatch.setattr(running, "UNSEEN_ORDERS", 20)

    def look(*_: int) -> None:
        kept = ledgers[0]._partition(PARTITION)
        seen.append((len(kept.orders), len(kept.log)))

    base = with_policy(world(1_000), window=WindowTerms(max_orders=10))
    of = setting(base, window_ms=1_000, pricing=Pricing(on=prices, orders_min=20))
    figures = await run(of, [order(str(k), k) for k in range(400)], Watch(through=look))
    assert figures.units_shipped == 400
    assert max(orders for orders, _ in seen) <= 30
    assert max(entries for _, entries in seen[60:]) <= 25


async def test_orders_that_nothing_can_decide_are_told_and_not_passed_over():
    """A demand out of sequence, without instants or for an unknown policy ends the run with the order's name."""
    for orders, reason in (
        ([order("1", 5), order("2", 0)], "sequence"),
        ([order("1", 0, policy_id="none")], "no policy 'none'"),
    ):
        with pytest.raises(InvalidInputError, match=reason):
            await run(setting(world()), orders)


async def test_what_a_watcher_raises_ends_the_run():
    """A run can be cancelled at any window."""

    class CancelledRunError(Exception):
        pass

    def stop(came: int, _: int) -> None:
        if came >= 3:
            raise CancelledRunError

    with pytest.raises(CancelledRunError):
        await run(setting(world()), [order(str(k), k) for k in range(10)], Watch(through=stop))
