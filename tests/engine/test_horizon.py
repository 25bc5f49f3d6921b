"""A full day rolls to the next working day within the policy's horizon."""

from __future__ import annotations

from datetime import date
from typing import Any

from engine.domain import epoch_ms
from engine.lowering import days_of, lower
from engine.promise import to_day
from tests.engine.making import MONDAY, column, compiled, document, node, order, window
from tests.engine.reading import decided, said, where, why

MON, TUE, WED, FRI = (to_day(date(2026, 11, day)) for day in (23, 24, 25, 27))
HORIZON = {"capacity_horizon_days": 4}


def busy(parcels: int, **fields: Any):
    """One node that ships so many parcels a day, not on Thursday the 26th."""
    weekdays = ["mon", "tue", "wed", "thu", "fri"]
    limit = {"capacity": {"parcels_per_day": parcels}}
    return compiled(document([node("A", workdays=weekdays, holidays=["2026-11-26"], **limit, **fields)]))


def test_the_parcel_leaves_on_the_next_day_with_room():
    """Monday is full, Tuesday has room: later, and dearer by the late days."""
    one = order("O", ("X", 1), deliver_by="2026-11-24T12:00:00Z")
    loads = {MON: {"A": (5, 5)}, TUE: {"A": (4, 4)}}
    stock = {"X": {"A": 9}}
    (today,) = decided(window(busy(5), [one], stock, loads=loads))
    assert why(today) == [("X", 1, "capacity", 9, 0, 0)]
    (later,) = decided(window(busy(5), [one], stock, loads=loads, policy=HORIZON))
    (parcel,) = said(later)["parcels"]
    assert parcel["ship_by"].startswith("2026-11-24")
    assert parcel["deliver_by"].startswith("2026-11-25")
    assert said(later)["cost"]["late"] == "5.00"
    assert [(load.day, load.parcels) for load in later.loads] == [(TUE, 1)]


def test_orders_spread_over_the_days():
    """Room for 2 a day, 5 orders: Monday, Tuesday and Wednesday."""
    orders = [order(f"O{i}", ("X", 1)) for i in range(5)]
    proposals = decided(window(busy(2), orders, {"X": {"A": 9}}, policy=HORIZON))
    assert all(proposal.state == "allocated" for proposal in proposals)
    days = [load.day for proposal in proposals for load in proposal.loads]
    assert all(days.count(day) <= 2 for day in (MON, TUE, WED))


def test_no_more_days_than_the_window_could_ask_for():
    """With room for all on the first day there is one option; with less, as many days as could be needed."""
    orders = [order(f"O{i}", ("X", 1)) for i in range(3)]
    for parcels, days in ((3, 1), (2, 2), (1, 3)):
        lowered = lower(window(busy(parcels), orders, {"X": {"A": 9}}, policy=HORIZON))
        assert len(lowered.problem.options.node) == 3 * days
        assert column(lowered.ship_day(lowered.problem.options.start[:-1])) == [MON] * 3


def test_the_horizon_ends():
    """Four days after Monday is Friday; Thursday is closed: Monday, Tuesday, Wednesday, Friday."""
    orders = [order(f"O{i}", ("X", 1)) for i in range(9)]
    proposals = decided(window(busy(1), orders, {"X": {"A": 9}}, policy=HORIZON))
    shipped = [proposal for proposal in proposals if proposal.state == "allocated"]
    assert sorted(load.day for proposal in shipped for load in proposal.loads) == [MON, TUE, WED, FRI]
    (short,) = {proposal.short_days for proposal in proposals if proposal.state == "refused"}
    assert short == (MON, TUE, WED, FRI)
    # 9 less the 4 that others of the window took.
    assert {why(proposal)[0][2] for proposal in proposals if proposal.state == "refused"} == {"capacity"}


def test_the_snapshot_is_asked_for_all_days_of_the_horizon():
    """And for the workday after each, should the ledger's clock have passed a cut-off."""
    asked = [order("O", ("X", 1))]
    assert days_of(asked, busy(1), epoch_ms(MONDAY), horizon=2) == {MON, TUE, WED, FRI}
    assert days_of(asked, busy(1), epoch_ms(MONDAY)) == {MON, TUE}


def test_a_later_day_may_be_too_late():
    """The order insists on its date: the day with room comes after it, and the reason is lateness, not room."""
    one = order("O", ("X", 1), deliver_by="2026-11-24T12:00:00Z", limits={"allow_late": False})
    loads = {MON: {"A": (5, 5)}}
    (proposal,) = decided(window(busy(5), [one], {"X": {"A": 9}}, loads=loads, policy=HORIZON))
    assert where(proposal) == {}
    assert why(proposal)[0][2] == "too_late"


def test_a_node_without_limits_ships_at_once():
    """Only a full day is a reason to wait."""
    network = compiled(document([node("A")]))
    lowered = lower(window(network, [order("O", ("X", 1))], {"X": {"A": 9}}, policy=HORIZON))
    assert column(lowered.problem.options.bucket) == [-1]
