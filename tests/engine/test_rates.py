"""Cards, zones and lanes: what a parcel costs, to the mill."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain import Sku, decimal, mills
from engine.lowering import lower
from engine.rates import card_price
from tests.engine.making import card, column, compiled, document, node, option_of, order, priced, shipped, window

MILES = 69.0933
"""Miles of one degree of latitude on the contract's sphere: 2 * pi * 6371.0088 km / 360 / 1.609344 km."""


@pytest.mark.parametrize(
    ("money", "percent", "expected"),
    [
        # 7.20 * 1.055 = 7.596 -> 7.60
        ("7.20", "5.5", 7600),
        # 7.10 * 1.005 = 7.1355 -> 7.14
        ("7.10", "0.5", 7140),
        # 9.00 * 1.0005 = 9.0045 -> 9.00
        ("9.00", "0.05", 9000),
        # 1.00 * 1.125 = 1.125 -> 1.13: the half goes up, not to even
        ("1.00", "12.5", 1130),
        ("0.10", "25", 130),
        # A card in mills is charged in cents: 7.255 -> 7.26, 7.254 -> 7.25
        ("7.255", "0", 7260),
        ("7.254", "0", 7250),
        ("0", "10", 0),
        ("1000000.00", "999.999", 10_999_990_000),
    ],
)
def test_a_surcharge_is_rounded_half_up_to_cents(money, percent, expected):
    """Carriers bill whole cents; binary floats or banker's rounding would be a cent off now and then."""
    assert card_price(money, percent) == expected


@given(st.integers(0, 10**9), st.integers(0, 999_999))
def test_a_surcharge_agrees_with_decimal_arithmetic(amount, thousandths):
    """The integer formula is the decimal one for every price and percentage."""
    percent = f"{thousandths // 1000}.{thousandths % 1000:03d}"
    exact = Decimal(amount) / 1000 * (1 + Decimal(percent) / 100)
    expected = int(exact.quantize(Decimal("0.01"), ROUND_HALF_UP) * 1000)
    assert card_price(f"{amount // 1000}.{amount % 1000:03d}", percent) == expected


def shipping(one, *skus, carriers=None, lanes=(), service="ground", **fields) -> list[str]:
    """What each box of an order costs from the only node."""
    network = compiled(document([node("A", **fields)], carriers, lanes))
    return [decimal(cost) for cost in column(priced(network, one, skus, "A", service).boxes.shipping)]


def at_miles(miles: float) -> dict[str, float]:
    """A destination straight north of the default node."""
    return {"lat": 38.5 + miles / MILES, "lon": -98.0}


@pytest.mark.parametrize(("miles", "price"), [(99.9, "5.00"), (100.1, "6.00"), (499.9, "6.00"), (500.1, "7.00")])
def test_a_zone_is_the_first_boundary_not_below_the_distance(miles, price):
    """Boundaries [100, 500] miles make three zones; beyond the last boundary is the last zone."""
    assert shipping(order("O", ("A", 1), ship_to=at_miles(miles))) == [price]


@pytest.mark.parametrize(("miles", "price"), [(99, "5.00"), (450, "6.00"), (2000, "6.00")])
def test_as_many_zones_as_boundaries_means_that_the_last_has_no_end(miles, price):
    """A chart may close its last zone with a number; what lies beyond still ships at the last zone's price."""
    closed = card(
        rates=[{"up_to_g": 1000, "by_zone": ["5.00", "6.00"]}], transit_days=[1, 2],
        zones={"kind": "distance_miles", "upper": [100, 500]},
    )  # fmt: skip
    assert shipping(order("O", ("A", 1), ship_to=at_miles(miles)), carriers=[closed]) == [price]


def test_kilometres_are_kilometres():
    """130 km are 81 miles: zone 1 of a chart in miles, zone 2 of the same numbers in km."""
    metric = card(zones={"kind": "distance_km", "upper": [100, 500]})
    assert shipping(order("O", ("A", 1), ship_to=at_miles(81)), carriers=[metric]) == ["6.00"]


def test_zones_by_distance_need_a_known_place():
    """Without coordinates and with an unknown postal code no distance can be charged; a lane still can."""
    nowhere = {"country": "FR", "lat": None, "lon": None, "postal_code": "75001"}
    lost = order("O", ("A", 1), ship_to=nowhere)
    network = compiled(document([node("A")]))
    assert len(lower(window(network, [lost], {"A": {"A": 9}})).problem.options.node) == 0
    assert shipping(lost, lanes=[lane("FR", parcel="3.00")]) == ["3.00"]


@pytest.mark.parametrize(("grams", "price"), [(0, "5.00"), (1000, "5.00"), (1001, "9.00"), (5000, "9.00")])
def test_a_row_carries_up_to_its_weight_inclusive(grams, price):
    """Exactly 1000 g is the row of 1000 g; an item without weight is priced at the lightest row."""
    assert shipping(order("O", ("A", 1)), Sku(sku="A", weight_g=grams)) == [price]


@pytest.mark.parametrize(
    ("height_mm", "price"),
    [
        # 5000 cm3 per kg: 200 * 250 * 100 mm = 5,000,000 mm3 -> 1000 g, the row of 1 kg.
        (100, "5.00"),
        # 5,050,000 mm3 / 5000 = 1010 g by volume beats 300 g by weight.
        (101, "9.00"),
    ],
)
def test_volume_counts_where_it_weighs_more(height_mm, price):
    """Billable weight = max(weight, ceil(mm3 / divisor)), the divisor in cm3 per kg."""
    bulky = Sku(sku="A", weight_g=300, length_mm=200, width_mm=250, height_mm=height_mm)
    assert shipping(order("O", ("A", 1)), bulky, carriers=[card(dim_divisor=5000)]) == [price]
    assert shipping(order("O", ("A", 1)), bulky) == ["5.00"]


def test_what_is_too_heavy_goes_in_several_boxes():
    """Three units of 2 kg at 5 kg a box: 4 kg + 2 kg, each box at its own rate."""
    assert shipping(order("O", ("A", 3)), Sku(sku="A", weight_g=2000)) == ["9.00", "9.00"]
    limited = [card(max_weight_g=2500)]
    assert shipping(order("O", ("A", 3)), Sku(sku="A", weight_g=2000), carriers=limited) == ["9.00"] * 3


def test_a_limit_above_the_card_ends_with_the_card():
    """`max_weight_g` cannot promise a weight that has no price: the last row is the limit."""
    generous = [card(max_weight_g=50_000)]
    assert shipping(order("O", ("A", 3)), Sku(sku="A", weight_g=2000), carriers=generous) == ["9.00", "9.00"]


def lane(to: str, node_id: str = "A", service: str = "ground", **fields):
    """A lane of the only node."""
    return {"node_id": node_id, "to": to, "service": service, **fields}


LANES = [
    lane("*", parcel="1.00"),
    lane("US", parcel="2.00"),
    lane("US-NY", parcel="3.00"),
    lane("US:1", parcel="4.00"),
    lane("US:100", parcel="5.00"),
    lane("hub", parcel="6.00"),
    lane("dc:1 a", parcel="7.00"),
    lane("GB:SW1A 1", parcel="8.00"),
]


@pytest.mark.parametrize(
    ("ship_to", "price"),
    [
        ({"country": "FR"}, "1.00"),
        ({}, "2.00"),
        ({"region": "CA", "postal_code": "90012"}, "2.00"),
        ({"region": "NY"}, "3.00"),
        ({"region": "NY", "postal_code": "12345"}, "4.00"),
        ({"region": "NY", "postal_code": "10001"}, "5.00"),
        ({"region": "NY", "postal_code": "10001", "zone": "hub"}, "6.00"),
        ({"region": "NY", "postal_code": "10001", "zone": "US"}, "2.00"),
        ({"country": "FR", "zone": "other"}, "1.00"),
        # A zone's name is the merchant's own, as written; a postal prefix is compared without spaces.
        ({"zone": "dc:1 a"}, "7.00"),
        ({"country": "GB", "postal_code": "sw1a 1aa"}, "8.00"),
        ({"country": "GB", "postal_code": "SW1A 2AA"}, "1.00"),
        ({"country": "FR", "zone": "GB:SW1A 1"}, "8.00"),
    ],
)
def test_the_most_specific_lane_wins(ship_to, price):
    """Own zone, longest postal prefix, region, country, anywhere: in this order, whatever the document's order."""
    for lanes in (LANES, LANES[::-1]):
        assert shipping(order("O", ("A", 1), ship_to=ship_to), lanes=lanes) == [price]


def test_a_lane_beats_every_card_of_its_service_only():
    """The agreed price replaces ground of both carriers where it holds; priority by card stays on offer."""
    carriers = [card(), card(carrier="ups"), card(service="priority")]
    network = compiled(document([node("A"), node("B")], carriers, [lane("US-NY", parcel="50.00")]))
    ny, elsewhere = order("O1", ("A", 1), ship_to={"region": "NY"}), order("O2", ("A", 1))
    lowered = lower(window(network, [ny, elsewhere], {"A": {"A": 9, "B": 9}}))
    services = [network.rates.services[k] for k in lowered.ways.service]
    ways = [
        (network.node_ids[n], s.carrier, s.service, s.is_lane)
        for n, s in zip(lowered.problem.options.node, services, strict=True)
    ]
    # The lane goes by the first carrier, by name, that has its service.
    ground, priority = [("ups", "ground", True)], [("usps", "priority", False)]
    cards = [("ups", "ground", False), ("usps", "ground", False), ("usps", "priority", False)]
    expected = [("A", *way) for way in ground + priority] + [("B", *way) for way in cards]
    expected += [(node_id, *way) for node_id in "AB" for way in cards]
    assert ways == expected


def test_lane_terms_are_charged_per_parcel_line_unit_and_kilogram():
    """8.76 + 2 * 0.10 + 5 * 0.42 + 1.005 per kg * 0.7 kg (0.7035 -> 0.704) = 11.764."""
    priced_lane = lane("US", parcel="8.76", line="0.10", unit="0.42", per_kg="1.005")
    one = order("O", ("A", 2), ("B", 3))
    weights = (Sku(sku="A", weight_g=200), Sku(sku="B", weight_g=100))
    assert shipping(one, *weights, lanes=[priced_lane]) == ["11.764"]


def test_a_lane_has_no_weight_limit():
    """The limit is the carrier card's; an agreed price holds for what was agreed."""
    heavy = Sku(sku="A", weight_g=40_000)
    assert shipping(order("O", ("A", 2)), heavy, lanes=[lane("US", parcel="90.00")]) == ["90.00"]


@pytest.mark.parametrize(
    ("level", "services"),
    [("standard", ["pallet", "ground"]), ("express", ["pallet", "air"]), ("economy", ["pallet"])],
)
def test_a_level_goes_by_the_services_that_serve_it(level, services):
    """A card serves its levels, a lane those of the carriers with its service, and one of no carrier's all of them."""
    carriers = [card(levels=["standard"]), card(service="air", levels=["express"])]
    lanes = [lane("US"), lane("US", service="pallet")]
    network = compiled(document([node("A")], carriers, lanes))
    lowered = lower(window(network, [order("O", ("A", 1), level=level)], {"A": {"A": 9}}))
    assert [network.rates.services[k].service for k in lowered.ways.service] == services


def test_equal_services_are_ordered_by_carrier_then_service():
    """Ties must not depend on the order in which someone typed the document."""
    carriers = [card(carrier="usps"), card(carrier="dhl", service="z"), card(carrier="dhl", service="a")]
    network = compiled(document([node("A")], carriers, [lane("US", service="own")]))
    names = [(service.carrier, service.service) for service in network.rates.services]
    assert names == [(None, "own"), ("dhl", "a"), ("dhl", "z"), ("usps", "ground")]


money = st.integers(0, 100_000).map(decimal)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(money, money, money), min_size=3, max_size=3),
    st.integers(0, 400).map(lambda tenths: f"{tenths / 10:.1f}"),
    st.sampled_from([None, 3000, 5000, 6001]),
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 400), st.integers(1, 150)), min_size=1, max_size=3),
    st.tuples(money, money, money),
    st.floats(1, 1500).filter(lambda miles: min(abs(miles - 100), abs(miles - 500)) > 0.01),  # our mile is not exact
)
def test_a_lowered_price_is_the_contract_formula(rows, percent, divisor, lines, costs, miles):
    """Through compiling, lowering and settling, shipping and handling equal the formula of the contract in decimals."""
    rates = [{"up_to_g": limit, "by_zone": list(row)} for limit, row in zip((500, 3000, 20_000), rows, strict=True)]
    carrier = card(rates=rates, surcharge_percent=percent, dim_divisor=divisor)
    per_parcel, per_line, per_unit = costs
    written = node("A", costs={"per_parcel": per_parcel, "per_line": per_line, "per_unit": per_unit})
    network = compiled(document([written], [carrier]))
    skus = [Sku(sku=f"S{i}", weight_g=w, length_mm=100, width_mm=100, height_mm=h) for i, (_, w, h) in enumerate(lines)]
    one = order("O", *((f"S{i}", quantity) for i, (quantity, _, _) in enumerate(lines)), ship_to=at_miles(miles))

    weight = sum(quantity * w for quantity, w, _ in lines)
    volume = sum(quantity * h * 10_000 for quantity, _, h in lines)
    billable = max(weight, math.ceil(Decimal(volume) / divisor) if divisor else 0)
    zone = next((i for i, upper in enumerate((100, 500)) if upper >= miles), 2)
    row = next(row for limit, row in zip((500, 3000, 20_000), rows, strict=True) if limit >= billable)
    expected = (Decimal(row[zone]) * (1 + Decimal(percent) / 100)).quantize(Decimal("0.01"), ROUND_HALF_UP)
    units = sum(quantity for quantity, _, _ in lines)
    handling = mills(per_parcel) + len(lines) * mills(per_line) + units * mills(per_unit)

    boxes = priced(network, one, skus, "A").boxes
    assert column(boxes.shipping) == [int(expected * 1000)]
    assert column(boxes.handling) == [handling]
    assert column(boxes.weight_g) == [weight]


def test_a_unit_that_no_row_carries_has_no_way():
    """6 kg on a card that ends at 5 kg: the judge knows of no shipment, so there is nothing to charge."""
    network = compiled(document([node("A")]))
    heavy = window(network, [order("O", ("A", 1))], {"A": {"A": 9}}, skus=[Sku(sku="A", weight_g=6000)])
    lowered = lower(heavy)
    with pytest.raises(ValueError, match="cannot carry"):
        shipped(lowered, {("A", "ground"): [1]})
    assert option_of(lowered, 0, "A") == 0
