"""The network document: what is refused and where, what a patch changes, and what compiling makes of it."""

from __future__ import annotations

import copy
import json
import pickle

import msgspec
import pytest

from engine.errors import InvalidInputError, NotFoundError
from engine.network import Network, parse_network, patch_node
from engine.network_document import NetworkDocument
from tests.engine.making import card, compiled, document, lowered_equal, node, order, window


def faults(body) -> dict[str, str]:
    """The faults of a document as {path: reason}."""
    with pytest.raises(InvalidInputError) as caught:
        parse_network(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert caught.value.faults
    return {fault.path: fault.reason for fault in caught.value.faults}


CONTRACT = {
    "currency": "USD",
    "nodes": [
        {
            "node_id": "FC-ONT6", "kind": "dc", "lat": 33.87, "lon": -117.23, "country": "US", "postal_code": "92551",
            "timezone": "America/Los_Angeles", "active": True, "priority": 1, "dock": None,
            "capacity": {"parcels_per_day": 5000, "units_per_day": 20000},
            "cutoff": "15:00", "handling_minutes": 120, "workdays": ["mon", "tue", "wed", "thu", "fri"],
            "holidays": ["2026-12-25"], "costs": {"per_parcel": "0.90", "per_line": "0.25", "per_unit": "0.05"},
            "serves": {"countries": ["US"], "postal_prefixes": [], "except_postal_prefixes": ["967"]},
            "channels": [], "capabilities": ["hazmat"], "safety_units": 0,
        }
    ],
    "carriers": [
        {
            "carrier": "usps", "service": "ground", "levels": ["standard"],
            "zones": {"kind": "distance_miles", "upper": [50, 150, 300, 600, 1000, 1400, 1800]},
            "rates": [{"up_to_g": 113, "by_zone": ["7.20", "7.25", "7.35", "7.50", "7.80", "7.90", "8.10", "8.40"]}],
            "transit_days": [1, 2, 2, 3, 3, 4, 4, 5], "max_weight_g": 31751, "dim_divisor": None,
            "surcharge_percent": "0",
        }
    ],
    "lanes": [
        {"node_id": "FC-ONT6", "to": "US-NY", "service": "ground", "parcel": "8.76", "line": "0", "unit": "0.42",
         "per_kg": "0", "transit_days": 4}
    ],
}  # fmt: skip


def test_the_contract_example_is_accepted_and_survives_storage():
    """The published example works as it stands, and storing the document loses nothing."""
    parsed = parse_network(json.dumps(CONTRACT).encode())
    assert parse_network(msgspec.json.encode(parsed)) == parsed
    assert msgspec.to_builtins(parsed)["nodes"][0] == CONTRACT["nodes"][0]


def test_only_the_documented_fields_are_required():
    """A node needs an id, a country and a place; everything else has the default that the contract states."""
    parsed = parse_network(b'{"nodes": [{"node_id": "A", "country": "US", "postal_code": "10001"}]}')
    only = parsed.nodes[0]
    assert (only.kind, only.timezone, only.active, only.priority, only.cutoff) == ("dc", "UTC", True, 0, None)
    assert (only.workdays, only.capacity.parcels_per_day, only.costs.per_unit, only.safety_units) == ([], None, "0", 0)
    assert (parsed.currency, parsed.carriers, parsed.lanes) == ("USD", [], [])


def test_every_structural_fault_is_named_at_once():
    """One upload tells all that is wrong with the form: types, missing and unknown fields, in every part."""
    broken = copy.deepcopy(CONTRACT)
    broken["nodes"][0]["lat"] = "north"
    broken["nodes"][0]["costs"]["per_line"] = "1.2345"
    broken["nodes"][0]["colour"] = "red"
    broken["carriers"][0]["zones"]["upper"][2] = "far"
    del broken["carriers"][0]["transit_days"]
    broken["lanes"][0]["transit_days"] = -1
    assert set(faults(broken)) == {
        "$.nodes[0].lat", "$.nodes[0].costs.per_line", "$.nodes[0].colour", "$.carriers[0].zones.upper[2]",
        "$.carriers[0].transit_days", "$.lanes[0].transit_days",
    }  # fmt: skip


def test_every_semantic_fault_is_named_at_once():
    """Each rule of meaning has a path of its own, and none hides another."""
    nodes = [
        node(
            "A", dock="W", timezone="America/Nowhere", cutoff="25:00", holidays=["2026-12-25", "2026-02-30", "20261225"]
        ),
        node("A"),
        {"node_id": "B", "country": "US"},
        {"node_id": "C", "country": "US", "lat": 1.0, "postal_code": "1"},
        node("D", dock="W", country="CA", costs={"per_unit": "1000000.01"}),
    ]
    carriers = [
        card(zones={"kind": "distance_km", "upper": [100, 100]}),
        card(),
        card(carrier="ups", transit_days=[1, 2]),
        card(
            carrier="dhl", rates=[{"up_to_g": 10, "by_zone": ["1", "2"]}, {"up_to_g": 10, "by_zone": ["1", "2", "3"]}]
        ),
        card(carrier="gls", zones={"kind": "matrix", "upper": [1, 2]}),
        card(carrier="dpd", transit_days=[1, 2, 3, 4]),
    ]
    lanes = [
        {"node_id": "Z", "to": "US", "service": "ground"},
        {"node_id": "B", "to": "US", "service": "ground"},
        {"node_id": "B", "to": "US", "service": "ground", "parcel": "1"},
    ]
    found = faults(document(nodes, carriers, lanes))
    assert set(found) == {
        "$.nodes[0].timezone", "$.nodes[0].cutoff", "$.nodes[0].holidays[1]", "$.nodes[0].holidays[2]",
        "$.nodes[1].node_id", "$.nodes[2]", "$.nodes[3].lon", "$.nodes[4].dock", "$.nodes[4].costs.per_unit",
        "$.carriers[0].zones.upper[1]", "$.carriers[1].service", "$.carriers[2].rates[0].by_zone",
        "$.carriers[2].rates[1].by_zone", "$.carriers[3].rates[0].by_zone", "$.carriers[3].rates[1].up_to_g",
        "$.carriers[4].zones.matrix", "$.carriers[4].zones.upper", "$.carriers[5].transit_days",
        "$.carriers[5].rates[0].by_zone", "$.carriers[5].rates[1].by_zone", "$.lanes[0].node_id", "$.lanes[2]",
    }  # fmt: skip
    assert found["$.nodes[4].dock"] == "dock 'W' is in US, where its node 'A' lies"


def test_no_more_than_a_hundred_faults_are_named():
    """A document that is wrong everywhere does not make an answer of megabytes."""
    assert len(faults(document([node(f"N{i}", timezone="nowhere") for i in range(250)]))) == 100


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        (b'{"nodes": [', "$", "byte 11"),
        (b'{"nodes": "\xff"}', "$", "not UTF-8 (byte 11)"),
        ('{"nodes": "é", }'.encode(), "$", "byte 16"),
        (b"[" * 100_000, "$", "nested too deeply"),
        (b'{"nodes": NaN}', "$", "NaN is not a JSON number"),
        (b"", "$", "byte 0"),
        (b'{"nodes": ' + b"[" * 40 + b"]" * 40 + b"}", "$.nodes" + "[0]" * 31, "nested too deeply"),
        (rb'{"currency": "\ud800", "nodes": []}', "$.currency", "half a surrogate pair"),
        (rb'{"\ud800": 1}', r"$.\ud800", "half a surrogate pair"),
        (b"[]", "$", "Expected `object`, got `array`"),
        (b'{"nodes": []}', "$.nodes", "length >= 1"),
    ],
)
def test_what_is_not_a_document_says_where(body, path, reason):
    """Broken syntax, encoding and nesting give a place to look at instead of a crash."""
    assert reason in faults(body)[path]


def test_a_key_that_comes_twice_is_refused():
    """JSON parsers keep the last of two keys in silence; here that would lose half of a rate card."""
    body = b'{"nodes": [{"node_id": "A", "country": "US", "lat": 1, "lon": 1, "lat": 2}], "lanes": [], "lanes": []}'
    assert set(faults(body)) == {"$.nodes[0].lat", "$.lanes"}


def patched(patch: bytes, node_id: str = "FC-ONT6") -> NetworkDocument:
    """The contract's example with one node patched."""
    return patch_node(parse_network(json.dumps(CONTRACT).encode()), node_id, patch)


def test_a_patch_changes_what_it_names_and_null_restores_the_default():
    """JSON merge patch: nested objects merge, arrays replace, null removes; the rest of the document is untouched."""
    before = parse_network(json.dumps(CONTRACT).encode())
    after = patched(b'{"active": false, "capacity": {"units_per_day": null}, "cutoff": null, "workdays": ["sat"]}')
    only = after.nodes[0]
    assert (only.active, only.cutoff, only.workdays) == (False, None, ["sat"])
    assert (only.capacity.parcels_per_day, only.capacity.units_per_day) == (5000, None)
    assert (only.costs, after.carriers, after.lanes) == (before.nodes[0].costs, before.carriers, before.lanes)


@pytest.mark.parametrize(
    ("patch", "paths"),
    [
        (b'{"cutoff": "24:01", "timezone": "X"}', {"$.cutoff", "$.timezone"}),
        (b'{"active": "no", "speed": 1, "colour": null}', {"$.active", "$.speed", "$.colour"}),
        (b'{"node_id": "OTHER"}', {"$.node_id"}),
        (b'{"country": null}', {"$.country"}),
        (b'{"lat": null}', {"$.lat"}),
        (b'{"active": true, "active": false}', {"$.active"}),
        (b"[1]", {"$"}),
        (b"{", {"$"}),
    ],
)
def test_a_bad_patch_is_refused_with_paths_of_the_node(patch, paths):
    """The caller sent a node's fields, so the faults speak of these and not of a place in the stored document."""
    with pytest.raises(InvalidInputError) as caught:
        patched(patch)
    assert {fault.path for fault in caught.value.faults} == paths


def test_a_patch_of_no_node_is_not_found():
    """A typing error in the node id must not create a node."""
    with pytest.raises(NotFoundError, match="FC-9"):
        patched(b"{}", "FC-9")


def test_nodes_are_indexed_by_priority_then_id_and_numbers_lead_back():
    """Ties go to the node that the merchant prefers, and the ledger's numbers mean the same nodes both ways."""
    network = compiled(document([node("B", priority=1), node("C"), node("A", priority=1), node("D", active=False)]))
    assert network.node_ids == ("C", "D", "A", "B")
    assert network.numbers == {"B": 3, "C": 13, "A": 23, "D": 33}
    assert network.index_of[network.number_of].tolist() == [0, 1, 2, 3]
    assert network.index_of[4] == -1


def test_a_dock_is_its_active_nodes_in_sequence():
    """Parcels of a dock leave from one node, the first by priority, then id; a dock of one node is none."""
    network = compiled(document([
        node("A", dock="W", active=False), node("D", dock="W"), node("C", dock="W", priority=1), node("B"),
        node("E", dock="ALONE"), node("F", dock="X", priority=-1), node("G", dock="X", priority=-2),
    ]))  # fmt: skip
    assert network.node_ids == ("G", "F", "A", "B", "D", "E", "C")
    assert [members.tolist() for members in network.docks] == [[0, 1], [4, 6]]


def test_a_node_cannot_be_patched_out_of_the_country_of_its_dock():
    """A dock in two countries has no one place; the fault speaks of the patch."""
    whole = parse_network(json.dumps(document([node("A", dock="W"), node("B", dock="W"), node("C")])).encode())
    for node_id, patch in (("A", {"country": "CA"}), ("C", {"country": "CA", "dock": "W"})):
        with pytest.raises(InvalidInputError) as caught:
            patch_node(whole, node_id, json.dumps(patch).encode())
        assert {fault.path for fault in caught.value.faults} == {"$.dock"}


def test_a_network_survives_pickling():
    """Windows are decided in another process: the copy there must decide the same."""
    written = document([node("A", workdays=["mon"], capacity={"parcels_per_day": 3}), node("B")], lanes=[
        {"node_id": "A", "to": "US", "service": "ground", "parcel": "4.00"}
    ])  # fmt: skip
    network = compiled(written)
    copied = pickle.loads(pickle.dumps(network))
    assert isinstance(copied, Network)
    orders = [order("O", ("A", 3))]
    stock = {"A": {"A": 5, "B": 5}}
    lowered_equal(window(network, orders, stock), window(copied, orders, stock))


def test_a_node_without_coordinates_stands_at_its_postal_centroid():
    """A merchant who knows only ZIP codes still gets distance zones."""
    network = compiled(document([{"node_id": "A", "country": "US", "postal_code": "10001"}]))
    assert (network.lat[0], network.lon[0]) == pytest.approx((40.75, -73.99), abs=0.1)
