"""Generated demand: rates, seasons, promotions, and the same numbers for all scenarios."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from engine.domain import epoch_ms
from engine.simulation.demand_document import Destination, Generator, Peak, Promised, Promotion, Season
from engine.simulation.generated import Generated
from tests.engine.simulation.worlds import EAST, SKUS, WEST

SINCE = datetime(2026, 11, 23, tzinfo=UTC)


def demand(seed: int = 1, **fields) -> Generated:
    return Generated(Generator(**{"since": SINCE, "days": 2, "orders_per_day": 2_000, **fields}), SKUS, seed)


def test_orders_come_in_the_sequence_of_their_placing_and_have_names_of_their_own():
    """A run takes orders as they come, and no two are one."""
    orders = list(demand().orders(2.5))
    instants = [each.placed_at for each in orders]
    assert instants == sorted(instants)
    assert len({each.order_id for each in orders}) == len(orders)
    assert SINCE <= instants[0] <= instants[-1] < SINCE + timedelta(days=2)


def test_as_many_come_as_are_expected():
    """The mean rate is the one asked for: within five standard deviations of Poisson."""
    made = demand()
    count = sum(1 for _ in made.orders())
    assert made.expected() == pytest.approx(4_000)
    assert abs(count - 4_000) < 5 * 4_000**0.5


def test_more_demand_adds_orders_and_less_leaves_some_out_but_changes_none():
    """Scenarios of one seed stay paired: the orders of x 0.7 are among those of x 1, and these among those of x 1.3."""
    less, base, more = ({each.order_id: each for each in demand().orders(factor)} for factor in (0.7, 1.0, 1.3))
    assert less.items() <= base.items() <= more.items()
    assert len(less) / len(base) == pytest.approx(0.7, abs=0.05)
    assert len(more) / len(base) == pytest.approx(1.3, abs=0.05)


def test_seeds_give_other_orders_and_the_same_seed_the_same():
    """All that is random comes from the seed."""
    assert list(demand(1).orders()) == list(demand(1).orders())
    assert [each.placed_at for each in demand(1).orders()] != [each.placed_at for each in demand(2).orders()]


def test_what_sells_well_does_so_with_every_seed():
    """Seeds are other weeks of one merchant: stock that suits one suits all, so seeds differ by chance only."""
    assert demand(1).units_per_day() == demand(2).units_per_day()
    sold = [Counter(line.sku for each in demand(seed).orders() for line in each.lines) for seed in (1, 2)]
    assert sold[0].most_common(1)[0][0] == sold[1].most_common(1)[0][0]


def test_seasons_peaks_and_promotions_swing_the_rate():
    """Hours, weekdays, dates, a peak day with its own curve, and SKUs that sell more for a while."""
    hours = [0.0] * 12 + [2.0] * 12
    assert all(each.placed_at.hour >= 12 for each in demand(season=Season(hours=hours)).orders())
    quiet = Season(weekdays=[0, 1, 1, 1, 1, 1, 1])
    assert {each.placed_at.date().isoformat() for each in demand(season=quiet).orders()} == {"2026-11-24"}
    peak = Peak(date="2026-11-24", factor=3, hours=[0.0] * 23 + [24.0])
    by_day = Counter(each.placed_at.date().day for each in demand(peaks=[peak]).orders())
    assert by_day[24] / by_day[23] == pytest.approx(3, rel=0.1)
    assert {each.placed_at.hour for each in demand(peaks=[peak]).orders() if each.placed_at.day == 24} == {23}
    sale = Promotion(skus=["Q"], since=SINCE + timedelta(days=1), until=SINCE + timedelta(days=2), factor=5)
    single = {"lines": [1.0], "skus": dict.fromkeys(SKUS, 1.0)}
    sold = Counter((each.placed_at.day, each.lines[0].sku) for each in demand(promotions=[sale], **single).orders())
    assert sold[24, "Q"] / sold[23, "Q"] == pytest.approx(5, rel=0.2)
    assert sold[24, "P"] / sold[23, "P"] == pytest.approx(1, rel=0.2)
    assert demand(promotions=[sale], **single).expected() == pytest.approx(2_000 + 4_000)


def test_what_sells_depends_on_where_it_goes():
    """Rates by SKU and region: a SKU that one region does not buy goes only to the other."""
    places = [Destination(ship_to=EAST, share=3, skus={"P": 0.0}), Destination(ship_to=WEST, share=1)]
    orders = list(demand(destinations=places).orders())
    to = Counter(each.ship_to.region for each in orders)
    assert to["NY"] / to["CA"] == pytest.approx(3, rel=0.15)
    assert {each.ship_to.region for each in orders if any(line.sku == "P" for line in each.lines)} == {"CA"}


def test_lines_have_distinct_skus_and_dates_are_promised():
    """A SKU drawn twice is one line of more units; a share of orders has a date so many days later."""
    orders = list(
        demand(lines=[0, 0, 0, 1.0], quantities=[1.0], promised=Promised(share=0.25, days_min=2, days_max=4)).orders()
    )
    assert all(len({line.sku for line in each.lines}) == len(each.lines) for each in orders)
    assert all(sum(line.quantity for line in each.lines) == 4 for each in orders)
    dated = [each for each in orders if each.deliver_by is not None]
    assert len(dated) / len(orders) == pytest.approx(0.25, abs=0.03)
    assert {(epoch_ms(each.deliver_by) - epoch_ms(each.placed_at)) // 86_400_000 for each in dated} == {2, 3, 4}
