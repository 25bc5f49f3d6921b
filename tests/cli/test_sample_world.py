"""The sample world: valid, the same every time, and like a real merchant's."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from engine.domain import Order, content_hash
from engine.network import parse_network
from engine.sample.orders import OrderGenerator
from engine.sample.tariff import ground_card, priority_card
from engine.sample.world import World, build_world

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def world() -> World:
    return build_world()


def test_network_is_a_valid_document(world: World) -> None:
    """The demo must never be refused its own network."""
    document = parse_network(world.network)
    assert len(document.nodes) == 20
    assert [carrier.service for carrier in document.carriers] == ["ground", "priority"]


def test_same_seed_gives_the_same_world(world: World) -> None:
    """A second run of the demo must find the world it left, to the byte."""
    again = build_world()
    assert again.network == world.network
    assert msgspec.json.encode(again.skus) == msgspec.json.encode(world.skus)
    assert again.stock == world.stock
    assert build_world(seed=21).stock != world.stock


def test_stock_fits_catalogue_and_nodes(world: World) -> None:
    """Every row names a known SKU and node once, and every SKU lies at two centres at least."""
    nodes = {node.node_id for node in parse_network(world.network).nodes}
    skus = {sku.sku for sku in world.skus}
    cells = [(row.sku, row.node_id) for row in world.stock]
    assert len(set(cells)) == len(cells)
    assert {row.node_id for row in world.stock} <= nodes
    assert {row.sku for row in world.stock} == skus
    centres = Counter(row.sku for row in world.stock if row.node_id.startswith("FC-"))
    assert min(centres.values()) >= 2
    assert all(row.on_hand > 0 for row in world.stock)


def test_hazardous_goods_lie_where_they_may(world: World) -> None:
    """Stock at a node that may not ship it would be dead."""
    hazmat = {sku.sku for sku in world.skus if "hazmat" in sku.requires}
    able = {node.node_id for node in parse_network(world.network).nodes if "hazmat" in node.capabilities}
    assert hazmat
    assert {row.node_id for row in world.stock if row.sku in hazmat} <= able


def test_weights_are_those_of_small_goods(world: World) -> None:
    """Most goods weigh about 60 g, some are large, none is over what a parcel may weigh."""
    weights = sorted(sku.weight_g for sku in world.skus)
    assert 55 <= weights[len(weights) // 2] <= 90
    assert 1_000 < weights[-1] <= 20_000
    assert weights[0] >= 5


@pytest.mark.parametrize("card", [ground_card(), priority_card()], ids=["ground", "priority"])
def test_tariff_rises_with_weight_and_zone(card: dict) -> None:
    """A slip of a digit in the table would show as a price below its neighbour."""
    rows = [[float(price) for price in row["by_zone"]] for row in card["rates"]]
    weights = [row["up_to_g"] for row in card["rates"]]
    assert weights == sorted(set(weights))
    assert weights[-1] == card["max_weight_g"] == 31_751
    for row in rows:
        assert len(row) == 8
        assert row == sorted(row)
    for lighter, heavier in itertools.pairwise(rows):
        assert all(low <= high for low, high in zip(lighter, heavier, strict=True))


def test_known_prices_of_the_tariff() -> None:
    """Two prices of the printed price list: 8 oz to zone 5, 10 lb to zone 8."""
    rates = {row["up_to_g"]: row["by_zone"] for row in ground_card()["rates"]}
    assert rates[226][4] == "8.35"
    assert rates[4_535][7] == "35.50"


def test_orders_are_valid_and_repeatable(world: World) -> None:
    """The stream is the same for a seed, and each order passes the API's own type."""
    first = list(OrderGenerator(world, 7, "T").orders(500, NOON, timedelta(milliseconds=5)))
    again = list(OrderGenerator(world, 7, "T").orders(500, NOON, timedelta(milliseconds=5)))
    assert [content_hash(order) for order in first] == [content_hash(order) for order in again]
    for order in first:
        assert msgspec.json.decode(msgspec.json.encode(order), type=Order) == order
    assert len({order.order_id for order in first}) == 500


def test_orders_look_real(world: World) -> None:
    """Half the orders have one line, there is a tail, and the largest metro orders most."""
    orders = list(OrderGenerator(world, 7, "T").orders(4_000, NOON))
    sizes = [len(order.lines) for order in orders]
    assert 0.45 < sizes.count(1) / len(sizes) < 0.55
    assert max(sizes) > 15
    assert Counter(order.ship_to.postal_code for order in orders).most_common(1)[0][0] == "10001"
    assert 0.1 < sum(order.deliver_by is not None for order in orders) / len(orders) < 0.2
    for order in orders:
        skus = [line.sku for line in order.lines]
        assert len(set(skus)) == len(skus)
