"""The pricer on the memory twin: what it reads off the log, and what it publishes when all goes well and when not."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest

from engine.archive.database import Archive
from engine.archive.projector import Projector
from engine.domain import Component, Order, OrderLine, ShipTo, Sku, StockRow
from engine.forecast import ForecastRow, put_forecast
from engine.ledger.backlog import Incoming
from engine.ledger.layout import DAY_MS
from engine.ledger.port import OrderRecord
from engine.metrics import Metrics
from engine.pricing.demand import FORECAST_WORTH
from engine.pricing.observed import Observed
from engine.pricing.outlook import Ahead
from engine.pricing.pricer import PAUSE_S, Pricer, Told, _Kept
from engine.pricing.sheet import Keep, PriceSheet, unpacked
from engine.settings import Settings
from tests.engine.sheets import price_sheet
from tests.engine.test_allocator import NOW_MS, World, order

NODES = [{"id": "near", "parcel": "5.00"}, {"id": "far", "parcel": "9.00"}]
SETTINGS = Settings(price_orders_min=3, price_horizon_days=1 / 24)
MAX_AGE_MS = round(1000 * SETTINGS.price_max_age_seconds)


class Time:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def shop(near: int = 8, far: int = 40, orders: int = 10) -> World:
    """Two nodes, and orders that were decided."""
    world = World()
    await world.setup(NODES, {("near", "A"): near + orders, ("far", "A"): far})
    await world.decide(*(order(f"O{k}", ("A", 1)) for k in range(orders)))
    return world


def pricer_of(world: World, now: Time | None = None, holder: str = "test") -> Pricer:
    """The pricer of a world."""
    return Pricer(world.ledger, world.registry, SETTINGS, now or Time(), holder)


async def sheet_of(world: World) -> PriceSheet:
    """The sheet that was published last."""
    stored = await world.ledger.prices("p")
    assert stored is not None
    return unpacked(stored.body, stored.version)


def mills_of(sheet: PriceSheet) -> dict[str, int]:
    """Prices of A by node."""
    return {("near", "far")[keep.node]: keep.mills for keep in sheet.keeps("A")}


async def test_scarce_stock_has_a_price_and_ample_stock_none() -> None:
    """Ten orders are to come for eight near units: each is worth the four that the far node costs more."""
    world = await shop(near=1)
    assert [told.source for told in await pricer_of(world).round()] == ["lp"]
    sheet = await sheet_of(world)
    assert mills_of(sheet) == {"near": 4_000}
    assert (sheet.keeps("A")[0].for_zone, sheet.futures, sheet.seen, sheet.horizon) == ("US:100", 4, 10.0, 10.0)
    plenty = await shop(near=500)
    await pricer_of(plenty).round()
    assert (await sheet_of(plenty)).stock == {}


async def test_a_burst_foretells_no_week() -> None:
    """Ten orders within an instant let ten more be expected of the hour to come, and nothing of the days after it."""
    world = await shop(near=30)
    week = SETTINGS.model_copy(update={"price_horizon_days": 7.0})
    await Pricer(world.ledger, world.registry, week, Time(), "test").round()
    sheet = await sheet_of(world)
    assert (sheet.horizon, sheet.stock) == (10.0, {})


@pytest.mark.parametrize(("mode", "same"), [("on", True), ("off", False)])
async def test_prices_do_not_swing_with_where_orders_stand_that_may_move(mode: str, same: bool) -> None:
    """Orders that are decided again are demand, and what they hold is free, wherever they stand now."""
    told = []
    for near_first in (True, False):
        world = World()
        policy = msgspec.json.encode({"reoptimise": {"mode": mode}})
        await world.setup(NODES, {("near", "A"): 12 if near_first else 0, ("far", "A"): 40})
        await world.registry.put_policy("p", "default", policy)
        await world.decide(*(order(f"O{k}", ("A", 1)) for k in range(10)))
        if not near_first:
            await world.stock.write("p", [(0, StockRow(node_id="near", sku="A", on_hand=12))])
        await pricer_of(world).round()
        told.append(mills_of(await sheet_of(world)))
    assert (told[0] == told[1]) is same
    assert not same or told[0]["near"] > 0, "twenty want twelve near units"


async def test_an_order_that_cannot_be_read_stops_no_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """One stored order of another form is left as it stands; the partition has its prices all the same."""
    world = World()
    await world.setup(NODES, {("near", "A"): 12, ("far", "A"): 40})
    await world.registry.put_policy("p", "default", msgspec.json.encode({"reoptimise": {"mode": "on"}}))
    await world.decide(*(order(f"O{k}", ("A", 1)) for k in range(10)))
    movable = world.ledger.movable

    async def spoilt(*arguments: object) -> list[OrderRecord]:
        first, *rest = await movable(*arguments)  # type: ignore[arg-type]
        return [replace(first, order=b"{}"), *rest]

    monkeypatch.setattr(world.ledger, "movable", spoilt)
    [told] = await pricer_of(world).round()
    assert (told.source, told.error) == ("lp", "")
    assert mills_of(await sheet_of(world))["near"] > 0


async def test_the_same_log_gives_the_same_prices() -> None:
    """Nothing but log, stock and settings decides: no clock and no chance."""
    sheets = []
    for _ in range(2):
        world = await shop(near=6)
        await pricer_of(world).round()
        sheets.append(mills_of(await sheet_of(world)))
    assert sheets[0] == sheets[1]


async def test_stock_need_last_no_longer_than_to_its_replenishment() -> None:
    """A unit is not kept for orders that the next delivery will serve, however little of the horizon is left then."""
    for after_min, price in ((0, {}), (1_440, {"near": 4_000}), (-1, {"near": 4_000})):
        world = await shop(near=1)
        await deliver(world, "A", 500, after_min)
        await pricer_of(world).round()
        assert mills_of(await sheet_of(world)) == price, after_min


async def test_a_delivery_that_comes_late_is_no_stock_before() -> None:
    """Ten orders of an hour on eight units: with a delivery at its end there is a price, in its first half none."""
    for after_min, scarce in ((59, True), (20, False)):
        world = await shop(near=4)
        await deliver(world, "A", 500, after_min)
        await pricer_of(world).round()
        assert bool(mills_of(await sheet_of(world))) is scarce, after_min


@pytest.mark.parametrize(("delivered", "priced"), [("A", {"B"}), ("B", {"A"})])
async def test_what_is_replenished_leaves_the_rest_of_its_orders(delivered: str, priced: set[str]) -> None:
    """Orders of two SKUs go on wanting the one that is not to come in."""
    world = World()
    await world.setup(NODES, {(node, sku): 11 if node == "near" else 90 for node in ("near", "far") for sku in "AB"})
    await world.decide(*(order(f"O{k}", ("A", 1), ("B", 1)) for k in range(10)))
    await deliver(world, delivered, 500, 0)
    await pricer_of(world).round()
    assert (await sheet_of(world)).stock.keys() == priced


async def test_a_kit_is_replenished_with_the_first_of_its_parts() -> None:
    """Nobody can say how many kits a delivery of one part makes; so no part is kept for kits of later."""
    for delivered, priced in (("A", set()), ("C", {"A"})):
        world = World()
        kit = Sku(sku="KIT", components=[Component(sku="A", quantity=1), Component(sku="B", quantity=1)])
        await world.registry.put_skus("p", [kit])
        stock = {("near", "A"): 11, ("far", "A"): 90, ("near", "B"): 90, ("far", "B"): 90}
        await world.setup(NODES, stock)
        await world.decide(*(order(f"O{k}", ("KIT", 1)) for k in range(10)))
        await deliver(world, delivered, 500, 0)
        await pricer_of(world).round()
        assert (await sheet_of(world)).stock.keys() == priced


async def deliver(world: World, sku: str, units: int, after_min: int) -> None:
    """Units that are to come to the near node."""
    number = (await world.ledger.network("p"))[1]["near"]
    at_ms = world.clock.epoch_ms() + after_min * 60_000 + 1_000
    await world.ledger.write_incoming("p", [Incoming("I", sku, number, units, at_ms)])


LANES = (("near", "Boston", "5.00"), ("near", "York", "5.50"), ("far", "Boston", "15.00"), ("far", "York", "6.00"))


async def full_day(capacity: dict[str, int], stock_price: str = "1", **policy: object) -> World:
    """Twenty orders of an hour, three of four to York, all from the near node, whose day has room for four more."""
    world = World()
    document = {
        "nodes": [
            {"node_id": "near", "country": "US", "lat": 40, "lon": -75, "capacity": capacity},
            {"node_id": "far", "country": "US", "lat": 40, "lon": -75},
        ],
        "lanes": [
            {"node_id": node_id, "to": to, "service": "ground", "parcel": parcel, "transit_days": 2}
            for node_id, to, parcel in LANES
        ],
    }
    await world.registry.put_network("p", msgspec.json.encode(document))
    policy["objective"] = {"stock_price": stock_price}
    await world.registry.put_policy("p", "default", msgspec.json.encode(policy))
    rows = [StockRow(node_id=node_id, sku="A", on_hand=500) for node_id in ("near", "far")]
    await world.stock.write("p", list(enumerate(rows)))
    await world.decide(*(bound_for("Boston" if k % 4 == 0 else "York", f"O{k}") for k in range(20)))
    return world


def bound_for(zone: str, order_id: str) -> Order:
    """An order of two units."""
    line = OrderLine(line_id="1", sku="A", quantity=2)
    return Order(order_id=order_id, ship_to=ShipTo(country="US", zone=zone), lines=[line])


async def from_where(world: World, *zones: str) -> list[str]:
    """The nodes that serve these orders, one after the other, by the newest prices."""
    await world.registry.books("p", await world.ledger.versions("p"))
    while (await world.registry.books("p")).prices is None:  # noqa: ASYNC110 (a task does it)
        await asyncio.sleep(0.001)
    decisions = [(await world.decide(bound_for(zone, f"{zone} {k}")))[0] for k, zone in enumerate(zones)]
    return [decision["parcels"][0]["node_id"] for decision in decisions]


@pytest.mark.parametrize("capacity", [{"parcels_per_day": 24}, {"units_per_day": 48}])
async def test_the_room_of_a_day_is_kept_for_whom_it_saves_most(capacity: dict[str, int]) -> None:
    """A nearly full day: with prices York gives way to Boston, without them it takes Boston's room."""
    for weight, york, boston in (("1", "far", "near"), ("0", "near", "far")):
        world = await full_day(capacity, weight)
        await pricer_of(world).round()
        sheet = await sheet_of(world)
        [price] = sheet.room
        assert (sheet.stock, price.node, price.day) == ({}, 0, NOW_MS // DAY_MS)
        assert 500 < price.mills <= 10_000
        assert await from_where(world, *["York"] * 4, *["Boston"] * 4) == [york] * 4 + [boston] * 4


async def test_each_order_of_a_future_uses_the_room_of_its_own_day() -> None:
    """An hour before midnight: today, nearly full, has a price, and tomorrow, with all its room, has none."""
    world = await full_day({"parcels_per_day": 24})
    world.clock.advance(DAY_MS - NOW_MS % DAY_MS - 3_600_000)
    settings = Settings(price_orders_min=3, price_horizon_days=1 / 16)
    await Pricer(world.ledger, world.registry, settings, Time(), "test").round()
    assert [price.day for price in (await sheet_of(world)).room] == [NOW_MS // DAY_MS]


async def test_a_day_that_may_roll_has_no_price_while_the_next_has_room() -> None:
    """With a day's grace nothing is lost by a full day, so nobody gives way."""
    world = await full_day({"parcels_per_day": 30}, capacity_horizon_days=1)
    await pricer_of(world).round()
    assert (await sheet_of(world)).room == ()


async def expect(world: World, *rows: tuple[str, float]) -> int:
    """A forecast of A: units a day by zone."""
    forecast = [ForecastRow(sku="A", country="US", zone=zone, units_per_day=units) for zone, units in rows]
    return await put_forecast(world.ledger, "p", forecast)


async def test_a_forecast_makes_prices_before_any_order_was_seen() -> None:
    """Ten units an hour are foreseen for one near: it has a price, for whom it is kept; taken back, no new sheet."""
    world = World()
    await expect(world, ("Boston", 180.0), ("York", 60.0))
    pricer = pricer_of(world)
    assert await pricer.round() == [], "there is no network yet"
    await world.setup(NODES, {("near", "A"): 1, ("far", "A"): 40})
    assert [told.source for told in await pricer.round()] == ["lp"]
    sheet = await sheet_of(world)
    assert (mills_of(sheet), sheet.horizon, sheet.seen) == ({"near": 4_000}, 10.0, FORECAST_WORTH)
    assert sheet.keeps("A")[0].for_zone == "Boston"
    assert await pricer.round() == [], "nothing happened since"
    await world.stock.write("p", list(enumerate([StockRow(node_id="near", sku="A", on_hand=100)])))
    await pricer.round()
    assert (await sheet_of(world)).stock == {}
    await expect(world)
    assert await pricer.round() == []


async def test_orders_outweigh_a_forecast() -> None:
    """Both the pace and the mix go over to what really comes."""
    world = await shop(near=900, far=0, orders=900)
    await expect(world, ("nowhere", 24_000.0))
    pricer = pricer_of(world)
    await pricer.round()
    observed = pricer._kept["p"].observed
    hour = 3_600_000
    assert 900 < observed.pace() * hour < 1_000, "three parts of 900 an hour, and one of 1,000"
    assert observed.demand.foreseen / observed.demand.seen == pytest.approx(0.25, abs=0.02)


async def test_one_has_the_duty_and_another_takes_it_up_when_it_is_gone() -> None:
    """Two processes on one store make prices once; after the lease the other goes on from the log alone."""
    world = await shop()
    first, second = pricer_of(world, holder="first"), pricer_of(world, holder="second")
    assert len(await first.round()) == 1
    assert await second.round() == []
    world.clock.advance(61_000)
    assert [told.source for told in await second.round()] == ["lp"]
    assert (await sheet_of(world)).version == 2


async def test_between_two_programmes_prices_follow_what_was_taken() -> None:
    """A cell that sells ahead of its pace grows dearer, without a solver; the sheet says that it was made so."""
    world, now = await shop(near=2), Time()
    pricer = pricer_of(world, now)
    kept = await pricer.price("p")
    assert kept is not None
    before = mills_of(await sheet_of(world))
    pricer._kept["p"].again_at = 1.0  # as after a programme that took a while
    await world.decide(*(order(f"P{k}", ("A", 1)) for k in range(3)))
    told = await pricer.price("p")
    assert told is not None
    assert (told.source, told.error) == ("adaptive", "")
    after = mills_of(await sheet_of(world))
    assert after["near"] != before["near"] or after.get("far") != before.get("far")
    now.seconds = 2.0
    await world.decide(order("Q", ("A", 1)))
    told = await pricer.price("p")
    assert told is not None
    assert told.source == "lp"


async def test_one_large_order_makes_no_unit_dearer_than_a_parcel() -> None:
    """Without a programme a price rises to that of a typical parcel at most, and one that is above it only falls."""
    world, now = await shop(near=900), Time()
    pricer = pricer_of(world, now)
    pricer._kept["p"] = _Kept(again_at=1.0)
    await pricer.round()
    await world.decide(order("large", ("A", 500)))
    [told] = await pricer.round()
    assert told.source == "adaptive"
    assert mills_of(await sheet_of(world))["near"] == round(pricer._kept["p"].observed.parcel_mills) == 5_000


async def test_a_large_order_moves_the_prices_of_a_programme_gently() -> None:
    """What futures say of a large stock outweighs a burst: half of it sold at once makes no unit dear."""
    world, now = await shop(near=900), Time()
    pricer = pricer_of(world, now)
    await pricer.round()
    pricer._kept["p"].again_at = 1.0
    await world.decide(order("large", ("A", 500)))
    [told] = await pricer.round()
    assert told.source == "adaptive"
    assert 0 < mills_of(await sheet_of(world))["near"] < 0.1 * pricer._kept["p"].observed.parcel_mills


async def test_prices_rest_on_the_futures_of_several_programmes() -> None:
    """New futures change a price by a part only, unless more of the SKU was received: then they alone count."""
    world = await shop(near=1)
    pricer = pricer_of(world)
    await pricer.round()
    assert mills_of(await sheet_of(world)) == {"near": 4_000}
    pricer._kept["p"].sheet = price_sheet({"A": [Keep(0, 2_000)]}, futures=4)
    await world.decide(order("O", ("B", 1)))
    await pricer.round()
    assert mills_of(await sheet_of(world)) == {"near": pytest.approx(2_500, abs=20)}
    await world.stock.write("p", list(enumerate([StockRow(node_id="near", sku="A", on_hand=500)])))
    await pricer.round()
    assert mills_of(await sheet_of(world)) == {}


async def test_where_nothing_is_left_there_is_nothing_to_keep() -> None:
    """No stock at all is an empty sheet, and no failure."""
    world = await shop(near=0, far=0)
    [told] = await pricer_of(world).round()
    assert (told.source, told.error, told.cells) == ("lp", "", 0)


async def test_a_programme_that_fails_leaves_prices_that_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    """No failure of the solver stops the sheet, and it is told."""

    def fail(_: Ahead) -> PriceSheet:
        raise RuntimeError("no optimum")

    monkeypatch.setattr(Ahead, "sheet", fail)
    world = await shop()
    [told] = await pricer_of(world).round()
    assert (told.source, "no optimum" in told.error) == ("adaptive", True)
    assert (await sheet_of(world)).source == "adaptive"


async def test_what_fails_in_one_partition_keeps_no_other_from_its_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition that fails is told; the others get their sheets."""
    world = await shop()
    pricer, own = pricer_of(world), Pricer.price

    async def price(self: Pricer, partition: str) -> Told | None:
        if partition == "another":
            raise ValueError("torn")
        return await own(self, partition)

    monkeypatch.setattr(Pricer, "price", price)
    await world.ledger.put_policy("another", "default", b"{}")
    told = await pricer.round()
    assert [(each.partition, each.source, each.error) for each in told] == [
        ("another", "", "ValueError('torn')"),
        ("p", "lp", ""),
    ]


async def test_a_log_that_cannot_be_followed_is_not_read_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be read from its beginning every few seconds; what fails after it loses nothing of what it told."""
    world, now = await shop(), Time()
    pricer = pricer_of(world, now)

    def fail(*_: object) -> None:
        raise ValueError("torn")

    with monkeypatch.context() as patched:
        patched.setattr(Observed, "take", fail)
        assert [told.error for told in await pricer.round()] == ["ValueError('torn')"]
        assert await pricer.round() == []
    now.seconds = PAUSE_S
    with monkeypatch.context() as patched:
        patched.setattr("engine.pricing.pricer.packed", fail)
        assert [told.error for told in await pricer.round()] == ["ValueError('torn')"]
    assert pricer._kept["p"].observed.orders == 10
    pricer._kept["p"].again_at = 0.0
    assert [told.source for told in await pricer.round()] == ["lp"]


async def test_a_round_ends_when_the_duty_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long programme may outlast the lease; two processes never go on side by side."""
    world = await shop()
    await world.ledger.put_policy("another", "default", b"{}")
    seen: list[str] = []

    async def price(_: Pricer, partition: str) -> Told | None:
        seen.append(partition)
        world.clock.advance(61_000)
        assert await world.ledger.lease("pricer", "second", 60_000)
        return None

    monkeypatch.setattr(Pricer, "price", price)
    await pricer_of(world, holder="first").round()
    assert len(seen) == 1


async def test_a_log_that_was_trimmed_is_followed_from_where_it_begins() -> None:
    """What left for the archive is not learned from; what is there is."""
    world = await shop()
    newest = (await world.ledger.retention("p")).newest
    await world.ledger.archived("p", "an archive", newest, newest)
    await world.decide(*(order(f"P{k}", ("A", 1)) for k in range(4)))
    pricer = pricer_of(world)
    assert await pricer.price("p") is not None
    assert pricer._kept["p"].observed.orders == 4


async def test_what_left_the_log_is_learned_from_the_archive() -> None:
    """A pricer that starts late knows the demand of days of which the store has nothing any more."""
    world = await shop()
    await expect(world, ("Boston", 24.0))
    archive = Archive("sqlite://")
    projector = Projector(world.ledger, archive, world.clock, SETTINGS, Metrics().archived, "projector")
    while await projector.follow("p"):
        pass
    newest = (await world.ledger.retention("p")).newest
    await world.ledger.archived("p", await archive.archive_id(), newest, newest)
    await world.decide(*(order(f"P{k}", ("A", 1)) for k in range(4)))
    pricer = Pricer(world.ledger, world.registry, SETTINGS, Time(), "test", archive)
    assert await pricer.price("p") is not None
    assert pricer._kept["p"].observed.orders == 14
    assert pricer._kept["p"].observed.demand.foreseen > 200, "the forecast left the log, and is still in the store"
    assert pricer._kept["p"].observed.first_ms == NOW_MS, "how far orders go back is not how far the log does"
    await archive.close()


async def test_a_commit_goes_by_the_sheet_at_hand_and_the_next_by_the_newer() -> None:
    """Reading a sheet is nothing that an order waits for: the registry brings it beside the windows."""
    world = await shop(near=1)
    await pricer_of(world).round()
    (first,) = await world.decide(order("first", ("A", 1)))
    assert first["window"]["price_version"] == 0
    while (await world.registry.books("p")).prices is None:  # noqa: ASYNC110 (a task does it)
        await asyncio.sleep(0.001)
    (second,) = await world.decide(order("second", ("A", 1)))
    assert second["window"]["price_version"] == 1


async def test_an_old_sheet_steers_no_longer() -> None:
    """A pricer that died, or was switched off, leaves no prices that decide for ever."""
    world = await shop(near=1)
    await pricer_of(world).round()
    await world.decide(order("first", ("A", 1)))
    while (await world.registry.books("p")).prices is None:  # noqa: ASYNC110 (a task does it)
        await asyncio.sleep(0.001)
    found = []
    for name, ahead_ms in (("in time", MAX_AGE_MS), ("late", 1)):
        world.clock.advance(ahead_ms)
        found.append((await world.decide(order(name, ("A", 1))))[0]["window"]["price_version"])
    assert found == [1, 0]


async def test_a_sheet_is_renewed_before_it_is_too_old() -> None:
    """Where no order comes for an hour, the first one after it still has prices."""
    world, now = await shop(near=1), Time()
    pricer = pricer_of(world, now)
    assert len(await pricer.round()) == 1
    assert await pricer.round() == []
    now.seconds = MAX_AGE_MS / 2000
    world.clock.advance(MAX_AGE_MS // 2)
    assert len(await pricer.round()) == 1
    assert mills_of(await sheet_of(world)) == {"near": 4_000}


async def test_a_sheet_of_another_program_says_nothing() -> None:
    """It is no reason to fail, and is not read again and again."""
    world = await shop(near=1)
    await world.ledger.put_prices("p", b"another form")
    assert await world.registry.price_sheet("p") == PriceSheet(0, "adaptive", version=1)
    await world.decide(order("first", ("A", 1)))
    while (await world.registry.books("p")).prices is None:  # noqa: ASYNC110 (a task does it)
        await asyncio.sleep(0.001)
    (second,) = await world.decide(order("second", ("A", 1)))
    assert second["window"]["price_version"] == 0
    await world.registry.close()
